/*
 *   σᵢ = (σ_max^(1/ρ) + i/(n−1)·(σ_min^(1/ρ) − σ_max^(1/ρ)))^ρ,   i = 0 … n−1,   then 0
 *
 * Karras et al. 2022 (arXiv 2206.00364), eq. 5; ρ = 7. Also called the EDM grid.
 */
import { finiteNumber } from '@ediffi/core';
import { ramp, type SigmaRange } from './range.js';

/**
 * n steps, decreasing, last entry 0: n + 1 values of σ. Throws OptionError for illegal steps, range or ρ.
 *
 * @example
 * ```ts
 * import { karras } from '@ediffi/sampler';
 *
 * console.log(karras(5, { sigmaMin: 0.02, sigmaMax: 80 })); // 80 … 0.02, 0
 * ```
 */
export function karras(steps: number, range: SigmaRange & { readonly rho?: number }): Float64Array {
  const rho = finiteNumber('rho', range.rho ?? 7, Number.MIN_VALUE);
  const [top, bottom] = [range.sigmaMax ** (1 / rho), range.sigmaMin ** (1 / rho)];
  return ramp(steps, range, (t) => (top + t * (bottom - top)) ** rho);
}
