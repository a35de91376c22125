/*
 * DPM2 to σ_down, then noise of σ_up: ancestral sampling (see euler-ancestral.ts for σ_down and σ_up) with the second-order step
 * of dpm2.ts. k-diffusion's sample_dpm_2_ancestral. Two network calls per step; stochastic; only for α ≡ 1.
 */
import type { Denoise, Tensor } from '@ediffi/core';
import { ancestralLoop, type AncestralOptions } from './ancestral.js';
import { midpointStep } from './dpm2.js';
import type { Step } from './solver.js';

/** DPM2 ancestral: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1, OptionError for a negative η. */
export const dpm2Ancestral = (denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> =>
  ancestralLoop('dpm2Ancestral', denoise, x, sigmas, options, (from, denoised, sigma, down) => midpointStep(denoise, from, denoised, sigma, down));
