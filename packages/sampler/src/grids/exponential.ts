/*
 *   ln σᵢ = ln σ_max + i/(n−1)·(ln σ_min − ln σ_max),   i = 0 … n−1,   then 0
 *
 * Uniform in log-SNR; k-diffusion's get_sigmas_exponential.
 */
import { ramp, type SigmaRange } from './range.js';

/** n steps uniform in ln σ, last entry 0: n + 1 values. Throws OptionError for illegal steps or range. */
export function exponential(steps: number, range: SigmaRange): Float64Array {
  return ramp(steps, range, (t) => range.sigmaMax * (range.sigmaMin / range.sigmaMax) ** t);
}
