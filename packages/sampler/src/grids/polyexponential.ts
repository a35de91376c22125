/*
 *   ln σᵢ = ln σ_min + (1 − i/(n−1))^ρ·(ln σ_max − ln σ_min),   i = 0 … n−1,   then 0
 *
 * k-diffusion's get_sigmas_polyexponential; ρ = 1 is the exponential grid.
 */
import { finiteNumber } from '@ediffi/core';
import { ramp, type SigmaRange } from './range.js';

/** n steps, decreasing, last entry 0: n + 1 values. Throws OptionError for illegal steps, range or ρ. */
export function polyexponential(steps: number, range: SigmaRange & { readonly rho?: number }): Float64Array {
  const rho = finiteNumber('rho', range.rho ?? 1, Number.MIN_VALUE);
  return ramp(steps, range, (t) => range.sigmaMin * (range.sigmaMax / range.sigmaMin) ** ((1 - t) ** rho));
}
