/*
 *   x′ = D + √(σ′² − σ_min²)·n,   n = 0 where σ′ ≤ σ_min
 *
 * Multistep consistency sampling on x = x₀ + σ·n (arXiv 2303.01469, Alg. 1), whose consistency function is the identity at σ_min. One network
 * call per step; stochastic; for consistency models (`consistencyBoundary` applies c_skip, c_out). Only for α ≡ 1: use lcm for the others.
 */
import { CapabilityError, finiteNumber, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { combine, seededNoise, type NoisyOptions, type Step } from './solver.js';

/** The σ where the consistency function is the identity; 0.002 by default. */
export interface ConsistencyOptions extends NoisyOptions {
  readonly sigmaMin?: number;
}

/** Consistency multistep: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1. */
export function consistency(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: ConsistencyOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0), noiseScale = 1 } = options;
  const floor = finiteNumber('sigmaMin', options.sigmaMin ?? 0.002, 0);
  if (denoise.alpha && denoise.alpha(0.5) !== 1) throw new CapabilityError('solver', 'consistency adds √(σ′² − σ_min²)·n to x = x₀ + σ·n and needs α ≡ 1 — use lcm');
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, own }) =>
    sigmaNext > floor ? combine([1, denoised], [noiseScale * Math.sqrt(sigmaNext ** 2 - floor ** 2), await own(noise(x.shape, sigma, sigmaNext))]) : combine([1, denoised]);
  return loop(denoise, x, sigmas, rule, { resume: options.resume });
}
