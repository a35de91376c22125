/*
 *   λ = ln(α/σ),   h = λ′ − λ,   r = h₋₁/h,   D̂ = (1 + 1/2r)·D − (1/2r)·D₋₁
 *   x′ = (σ′/σ)·x − α′·(e^(−h) − 1)·D̂
 *
 * DPM-Solver++(2M), arXiv 2211.01095, Algorithm 2. Order 2, one network call per step; the first step and the step to σ = 0 are of order 1.
 * EDM, VE, VP and flow.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { firstOrder, frame, type SolverOptions, type Step } from './solver.js';

/** DPM++ 2M: x `[B, …]` at sigmas[0] → x at the last σ. Throws SigmaRangeError for a grid that does not decrease. */
export function dpmpp2m(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: SolverOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const at = frame(denoise);
  return loop(
    denoise,
    x,
    sigmas,
    ({ x, denoised, sigma, sigmaNext, history: [previous] }) => {
      if (!previous || sigmaNext === 0) return lincomb(...firstOrder(at, x, denoised, sigma, sigmaNext));
      const h = at.lambda(sigmaNext) - at.lambda(sigma);
      const gain = -at.alpha(sigmaNext) * Math.expm1(-h);
      const half = h / (2 * (at.lambda(sigma) - at.lambda(previous.sigma))); // 1/2r; 0 after a start at α = 0, where λ = −∞
      return lincomb([sigmaNext / sigma, x], [gain * (1 + half), denoised], [-gain * half, previous.value]);
    },
    { depth: 1, resume: options.resume },
  );
}
