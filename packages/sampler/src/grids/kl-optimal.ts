/*
 *   σᵢ = tan(i/(n−1)·atan σ_min + (1 − i/(n−1))·atan σ_max),   then 0
 *
 * The KL-optimal grid of align-your-steps for Gaussian data (arXiv 2404.14507, Thm. 3.1).
 */
import { ramp, type SigmaRange } from './range.js';

/** n steps, decreasing, last entry 0: n + 1 values. Throws OptionError for illegal steps or range. */
export function klOptimal(steps: number, range: SigmaRange): Float64Array {
  const [top, bottom] = [Math.atan(range.sigmaMax), Math.atan(range.sigmaMin)];
  return ramp(steps, range, (t) => Math.tan(t * bottom + (1 - t) * top));
}
