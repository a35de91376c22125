/*
 *   x′ = x + Σⱼ cⱼ·dᵢ₋ⱼ,   d = (x − D)/σ,   cⱼ = ∫_σ^σ′ Πₖ≠ⱼ (s − σᵢ₋ₖ)/(σᵢ₋ⱼ − σᵢ₋ₖ) ds
 *
 * Linear multistep (Adams–Bashforth on an uneven grid), k-diffusion's sample_lms. Order up to 4, one network call per step; warms up
 * with orders 1, 2, 3 (so the global order is at most 2). Deviates: the integral of the Lagrange polynomial is exact (Gauss–Legendre), k-diffusion uses scipy.quad.
 */
import { integer, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { checkGrid, type Step } from './solver.js';

/** Order 1 to 4; default 4. */
export interface LmsOptions {
  readonly order?: number;
}

/** Nodes and weights of 3-point Gauss–Legendre on [−1, 1]: exact up to degree 5. */
const GAUSS: readonly (readonly [number, number])[] = [[-Math.sqrt(0.6), 5 / 9], [0, 8 / 9], [Math.sqrt(0.6), 5 / 9]];

/** cⱼ for the nodes (newest first), integrated from nodes[0] to `to`. */
export function lmsCoefficients(nodes: readonly number[], to: number): number[] {
  const [half, centre] = [(to - nodes[0]!) / 2, (to + nodes[0]!) / 2];
  return nodes.map((own, j) => GAUSS.reduce((sum, [node, weight]) => {
    const s = centre + half * node;
    return sum + half * weight * nodes.reduce((product, other, k) => (k === j ? product : (product * (s - other)) / (own - other)), 1);
  }, 0));
}

/** LMS: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an order outside 1…4. */
export async function* lms(denoise: Denoise, start: Tensor, sigmas: Float64Array, options: LmsOptions = {}): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas);
  const order = integer('order', options.order ?? 4, 1, 4);
  const count = sigmas.length - 1;
  const slopes: Tensor[] = []; // newest first
  let x = start;
  let done = false;
  try {
    for (let index = 0; index < count; index++) {
      const [sigma, sigmaNext] = [sigmas[index]!, sigmas[index + 1]!];
      const denoised = await denoise(x, sigma);
      try {
        slopes.unshift(await lincomb([1 / sigma, x], [-1 / sigma, denoised]));
        for (const old of slopes.splice(order)) old.dispose();
        const nodes = slopes.map((_, j) => sigmas[index - j]!);
        const next = await lincomb([1, x], ...lmsCoefficients(nodes, sigmaNext).map((c, j) => [c, slopes[j]!] as const));
        if (x !== start) x.dispose();
        x = next;
        yield { index, count, sigma, sigmaNext, x, denoised };
      } finally {
        denoised.dispose();
      }
    }
    done = true;
    return x;
  } finally {
    for (const slope of slopes) slope.dispose();
    if (!done && x !== start) x.dispose();
  }
}
