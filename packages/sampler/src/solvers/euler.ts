/*
 *   x′ = x + (σ′ − σ)·(x − D(x; σ))/σ  =  (σ′/σ)·x + (1 − σ′/σ)·D
 *
 * Euler's method on the probability-flow ODE (arXiv 2206.00364, Alg. 1 without the correction); DDIM in VE form (arXiv 2010.02502).
 * Order 1, one network call per step. Holds for EDM, VE and rectified flow.
 */
import { eulerStep, type Solver } from './solver.js';
import { loop } from './loop.js';

/** Euler: x `[B, …]` at sigmas[0] → x at the last σ. Throws SigmaRangeError for a grid that does not decrease. */
export const euler: Solver = (denoise, x, sigmas) => loop(denoise, x, sigmas, ({ x, denoised, sigma, sigmaNext }) => eulerStep(x, denoised, sigma, sigmaNext));
