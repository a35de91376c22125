import { CapabilityError, integer, type Instrumentation } from '@ediffi/core';
import type { GraphOutline } from '@ediffi/backends/outline';

/** Queries in a run: at 64×64 latents, 8 heads and batch 2 a run's scores take 64 MiB in place of 1 GiB. */
const QUERIES = 256;

/**
 * In how many runs of queries a network computes its finest self-attention: as asked, or as many as leave 256 queries a run at `edge`, its own picture's
 * edge; 1 where the graph cannot be sliced. Throws OptionError for a number out of range.
 */
export function slicesOf(outline: GraphOutline, edge: number, asked?: number): number {
  if (asked !== undefined) return integer('slices', asked, 1, 256);
  const stride = slicedStride(outline);
  return stride === undefined ? 1 : Math.min(64, Math.max(1, Math.ceil((edge / stride) ** 2 / QUERIES)));
}

function slicedStride(outline: GraphOutline): number | undefined {
  try {
    return outline.sites().slicedStride;
  } catch (error) {
    if (CapabilityError.isInstance(error)) return undefined; // no text meets the picture: nothing was looked for
    throw error;
  }
}

/** What a network is loaded with. */
export const withSlices = (slices: number, instrument: Instrumentation | undefined): Instrumentation | undefined => (slices === 1 ? instrument : { ...instrument, slices });
