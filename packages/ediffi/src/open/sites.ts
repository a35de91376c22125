import { CapabilityError } from '@ediffi/core';
import type { GraphOutline } from '@ediffi/backends/outline';

/** `transformer: 3 joint attentions at stride 2; opset 18`, or why there are none. */
export function sitesOf(name: string, outline: GraphOutline, slices: number): string {
  try {
    const { sites, opset, selfAttentions } = outline.sites();
    const strides = [...new Set(sites.map(({ stride }) => stride))].sort((a, b) => a - b);
    const counts = strides.map((stride) => `${sites.filter((site) => site.stride === stride).length} at stride ${stride}`);
    return `${name}: text meets the picture in ${sites.length} ${sites[0]?.kind ?? 'cross'} attentions (${counts.join(', ')}), ${selfAttentions} self-attentions${slices > 1 ? `, the finest in ${slices} runs` : ''}; opset ${opset}`;
  } catch (error) {
    if (!CapabilityError.isInstance(error)) throw error;
    return `${name}: no painting with words — ${error.message}`;
  }
}
