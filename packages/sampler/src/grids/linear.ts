/*
 *   σᵢ = σ_max + i/(n−1)·(σ_min − σ_max),   i = 0 … n−1,   then 0
 *
 * Uniform in σ (arXiv 2206.00364, the ρ = 1 end of eq. 5).
 */
import { ramp, type SigmaRange } from './range.js';

/** n steps uniform in σ, last entry 0: n + 1 values. Throws OptionError for illegal steps or range. */
export function linear(steps: number, range: SigmaRange): Float64Array {
  return ramp(steps, range, (t) => range.sigmaMax + t * (range.sigmaMin - range.sigmaMax));
}
