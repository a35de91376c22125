/*
 *   x′ = (σ′/σ)·x + (α′ − α·σ′/σ)·D,   for α ≡ 1:  x′ = x + (σ′ − σ)·(x − D)/σ
 *
 * Euler's method on the probability-flow ODE (arXiv 2206.00364, Alg. 1 without the correction); DDIM (arXiv 2010.02502, eq. 12 with
 * η = 0) for any α. Order 1, one network call per step. EDM, VE, VP and flow. Churn as in EDM's Algorithm 2, only for α ≡ 1.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { stirring, type ChurnOptions } from './churn.js';
import { loop } from './loop.js';
import { firstOrder, frame, type Step } from './solver.js';

/** Euler: x `[B, …]` at sigmas[0] → x at the last σ. Throws SigmaRangeError for a grid that does not decrease. */
export function euler(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: ChurnOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const at = frame(denoise);
  return loop(denoise, x, sigmas, ({ x, denoised, sigma, sigmaNext }) => lincomb(...firstOrder(at, x, denoised, sigma, sigmaNext)), { ...stirring(denoise, 'euler', options), resume: options.resume });
}
