/*
 *   d = (x − D(x; σ))/σ,   x̃ = x + (σ′ − σ)·d,   d′ = (x̃ − D(x̃; σ′))/σ′,   x′ = x + (σ′ − σ)·(d + d′)/2
 *
 * Heun's method, EDM Alg. 1 (arXiv 2206.00364). Order 2, two network calls per step; the last step to σ = 0 is Euler's.
 * EDM, VE and flow (α linear in σ). Churn as in EDM's Algorithm 2, only for α ≡ 1.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { stirring, type ChurnOptions } from './churn.js';
import { loop } from './loop.js';
import { firstOrder, frame, requireLinear, type Step } from './solver.js';

/** Options of heun: churn. */
export type HeunOptions = ChurnOptions;

/** Heun: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for a VP model, and for churn on a flow model. */
export function heun(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: HeunOptions = {}): AsyncGenerator<Step, Tensor, void> {
  requireLinear(denoise, 'heun');
  const at = frame(denoise);
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, evaluate, own }) => {
      const next = await lincomb(...firstOrder(at, x, denoised, sigma, sigmaNext));
      if (sigmaNext === 0) return next;
      const second = await evaluate(await own(next), sigmaNext);
      const half = (sigmaNext - sigma) / 2;
      return lincomb([1 + half / sigma, x], [-half / sigma, denoised], [half / sigmaNext, next], [-half / sigmaNext, second]);
    },
    { ...stirring(denoise, 'heun', options), resume: options.resume },
  );
}
