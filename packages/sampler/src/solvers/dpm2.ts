/*
 *   σ_m = √(σ·σ′),   x_m = x + (σ_m − σ)·(x − D)/σ,   x′ = x + (σ′ − σ)·(x_m − D(x_m; σ_m))/σ_m
 *
 * DPM-Solver-2 in σ, with the midpoint in ln σ (arXiv 2206.00927; k-diffusion's sample_dpm_2). Order 2, two network calls per step;
 * the step to σ = 0 is Euler's. Churn: see churn.ts.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { churnOf, type ChurnOptions } from './churn.js';
import { loop } from './loop.js';
import { checkGrid, eulerStep, type Step } from './solver.js';

/** The second half of a step: from x at σ to `to`, by the slope at the geometric midpoint. */
export async function midpointStep(denoise: Denoise, x: Tensor, denoised: Tensor, sigma: number, to: number): Promise<Tensor> {
  if (to === 0) return eulerStep(x, denoised, sigma, to);
  const middle = Math.sqrt(sigma * to);
  const xm = await eulerStep(x, denoised, sigma, middle);
  const dm = await denoise(xm, middle);
  const h = (to - sigma) / middle;
  const next = await lincomb([1, x], [h, xm], [-h, dm]);
  xm.dispose();
  dm.dispose();
  return next;
}

/** DPM2: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for churn on a flow model. */
export async function* dpm2(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: ChurnOptions = {}): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas);
  const churn = churnOf(denoise, 'dpm2', sigmas, options);
  return yield* loop(denoise, x, sigmas, ({ x, denoised, sigma, sigmaNext }) => midpointStep(denoise, x, denoised, sigma, sigmaNext), [], 0, churn);
}
