/*
 *   λ = ln(α/σ),   h = λ′ − λ,   r = h₋₁/h,   D̂ = (1 + 1/2r)·D − (1/2r)·D₋₁
 *   x′ = (σ′/σ)·x − α′·(e^(−h) − 1)·D̂
 *
 * DPM-Solver++(2M), arXiv 2211.01095, Algorithm 2. Order 2, one network call per step; the first step and the step to σ = 0 are of order 1.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import type { Step } from './solver.js';

/** DPM++ 2M: x `[B, …]` at sigmas[0] → x at the last σ. Throws SigmaRangeError for a grid that does not decrease. */
export function dpmpp2m(denoise: Denoise, x: Tensor, sigmas: Float64Array): AsyncGenerator<Step, Tensor, void> {
  const alpha = denoise.alpha ?? (() => 1);
  const lambda = (sigma: number): number => Math.log(alpha(sigma) / sigma);
  const history: { denoised: Tensor; sigma: number }[] = [];
  return loop(
    denoise,
    x,
    sigmas,
    ({ x, denoised, sigma, sigmaNext }) => {
      const h = lambda(sigmaNext) - lambda(sigma);
      const gain = -alpha(sigmaNext) * Math.expm1(-h);
      const previous = history[0];
      if (!previous || sigmaNext === 0) return lincomb([sigmaNext / sigma, x], [gain, denoised]);
      const half = h / (2 * (lambda(sigma) - lambda(previous.sigma))); // 1/2r
      return lincomb([sigmaNext / sigma, x], [gain * (1 + half), denoised], [-gain * half, previous.denoised]);
    },
    history,
    1,
  );
}
