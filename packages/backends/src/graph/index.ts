import { analyse, type GraphInputs } from './analysis.js';
import { changeable } from './instrument.js';
import type { Segment } from './labels.js';
import { parseModel } from './onnx.js';
import { slicedStride } from './slices.js';

export type { GraphInputs } from './analysis.js';
export { externalFiles } from './external.js';
export { instrument, type Instrumented } from './instrument.js';
export type { Segment } from './labels.js';

/** What a graph offers to regions and attention maps. */
export interface GraphReport {
  readonly opset: number;
  readonly image: string;
  readonly texts: readonly string[];
  readonly selfAttentions: number;
  /** Stride of the finest self-attentions, where `instrument` can have them computed in slices. */
  readonly slicedStride?: number;
  readonly sites: readonly { readonly name: string; readonly kind: 'cross' | 'joint'; readonly form: 'softmax' | 'fused'; readonly stride: number; readonly rank: number; readonly columns: readonly Segment[] }[];
  readonly warnings: readonly string[];
}

/** Lists the sites where text meets the picture, in an ONNX file that is not loaded for it. Throws ModelError, or CapabilityError when there are none. */
export function inspectGraph(bytes: Uint8Array, name = 'graph', inputs: GraphInputs = {}): GraphReport {
  const model = parseModel(bytes, name);
  const analysis = analyse(model, name, inputs);
  const { sites, selfAttentions, image, texts, warnings } = analysis;
  const stride = changeable(model, sites, name) ? slicedStride(analysis, model.nodes) : undefined;
  return {
    opset: model.opset,
    image: image.name,
    texts: texts.map((t) => t.name),
    selfAttentions,
    ...(stride !== undefined && { slicedStride: stride }),
    sites: sites.map((s) => ({ name: s.node.name, kind: s.kind, form: s.form, stride: s.stride, rank: s.rank, columns: s.segments })),
    warnings,
  };
}
