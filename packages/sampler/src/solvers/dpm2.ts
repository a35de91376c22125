/*
 *   σ_m = √(σ·σ′),   x_m = x + (σ_m − σ)·(x − D)/σ,   x′ = x + (σ′ − σ)·(x_m − D(x_m; σ_m))/σ_m
 *
 * DPM-Solver-2's mid-point in log σ (arXiv 2206.00927, Alg. 4) as a step in σ: k-diffusion's sample_dpm_2. Order 2, two network calls
 * per step; the step to σ = 0 is Euler's. EDM, VE and flow (α linear in σ). Churn as in EDM's Algorithm 2, only for α ≡ 1.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { stirring, type ChurnOptions } from './churn.js';
import { loop } from './loop.js';
import { firstOrder, frame, requireLinear, type Step } from './solver.js';

/** DPM2: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for a VP model, and for churn on a flow model. */
export function dpm2(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: ChurnOptions = {}): AsyncGenerator<Step, Tensor, void> {
  requireLinear(denoise, 'dpm2');
  const at = frame(denoise);
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, evaluate, own }) => {
      if (sigmaNext === 0) return lincomb(...firstOrder(at, x, denoised, sigma, sigmaNext));
      const middle = Math.sqrt(sigma * sigmaNext);
      const y = await own(lincomb(...firstOrder(at, x, denoised, sigma, middle)));
      const d = await evaluate(y, middle);
      const h = (sigmaNext - sigma) / middle;
      return lincomb([1, x], [h, y], [-h, d]);
    },
    { ...stirring(denoise, 'dpm2', options), resume: options.resume },
  );
}
