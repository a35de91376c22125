/*
 *   x′ = x + (σ′ − σ)·(x − D(x; σ))/σ  =  (σ′/σ)·x + (1 − σ′/σ)·D
 *
 * Euler's method on the probability-flow ODE (arXiv 2206.00364, Alg. 1 without the correction); DDIM in VE form (arXiv 2010.02502).
 * Order 1, one network call per step. Holds for EDM, VE and rectified flow. Churn: see churn.ts.
 */
import type { Denoise, Tensor } from '@ediffi/core';
import { churnOf, type ChurnOptions } from './churn.js';
import { loop } from './loop.js';
import { checkGrid, eulerStep, type Step } from './solver.js';

/** Euler: x `[B, …]` at sigmas[0] → x at the last σ. Throws SigmaRangeError for a grid that does not decrease, CapabilityError for churn on a flow model. */
export async function* euler(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: ChurnOptions = {}): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas);
  const churn = churnOf(denoise, 'euler', sigmas, options);
  return yield* loop(denoise, x, sigmas, ({ x, denoised, sigma, sigmaNext }) => eulerStep(x, denoised, sigma, sigmaNext), [], 0, churn);
}
