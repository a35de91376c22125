/*
 *   x′ = (σ_down/σ)·x + (1 − σ_down/σ)·D + σ_up·n
 *
 * Euler's step to σ_down, then noise of σ_up (both in ancestral.ts); k-diffusion's sample_euler_ancestral, "Euler a".
 * One network call per step; stochastic; only for α ≡ 1.
 */
import type { Denoise, Tensor } from '@ediffi/core';
import { ancestralLoop, type AncestralOptions } from './ancestral.js';
import { eulerStep, type Step } from './solver.js';

/** Euler ancestral: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1, OptionError for a negative η. */
export const eulerAncestral = (denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> =>
  ancestralLoop('eulerAncestral', denoise, x, sigmas, options, eulerStep);
