/*
 *   σ_up = η·σ′·√(1 − r²),  r = α·σ′/(α′·σ),   σ_down = √(σ′² − σ_up²)
 *   x′ = (σ_down/σ)·x + (α′ − α·σ_down/σ)·D + σ_up·n
 *
 * The posterior of the forward process (DDPM, arXiv 2006.11239, eq. 7), as k-diffusion's sample_euler_ancestral; for VP models it is
 * DDIM with η (arXiv 2010.02502, eq. 16). One network call per step; stochastic, weak order 1. EDM, VE, VP and flow.
 * Draws noise while σ′ > 0.
 */
import { finiteNumber, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { combine, firstOrder, frame, seededNoise, type Frame, type NoisyOptions, type Step } from './solver.js';

/** η scales the added noise (0: Euler); noiseScale multiplies each draw. */
export interface AncestralOptions extends NoisyOptions {
  readonly eta?: number;
}

/** How far to go down deterministically, and how much noise to add, both in units of σ′. */
export function ancestralSplit(at: Frame, sigma: number, sigmaNext: number, eta: number): { down: number; up: number } {
  const ratio = (at.alpha(sigma) * sigmaNext) / (at.alpha(sigmaNext) * sigma);
  const up = sigmaNext * Math.min(1, eta * Math.sqrt(Math.max(0, 1 - ratio ** 2)));
  return { up, down: Math.sqrt(Math.max(0, sigmaNext ** 2 - up ** 2)) };
}

/** η, the noise scale and the noise of ancestral options. Throws OptionError for negative numbers. */
export function ancestralOptions(options: AncestralOptions): { eta: number; noiseScale: number; noise: NonNullable<NoisyOptions['noise']> } {
  return { eta: finiteNumber('eta', options.eta ?? 1, 0), noiseScale: finiteNumber('noiseScale', options.noiseScale ?? 1, 0), noise: options.noise ?? seededNoise(0) };
}

/** Euler ancestral: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for a negative η. */
export function eulerAncestral(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { eta, noiseScale, noise } = ancestralOptions(options);
  const at = frame(denoise);
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, own }) => {
    const { down, up } = ancestralSplit(at, sigma, sigmaNext, eta);
    const terms = firstOrder(at, x, denoised, sigma, sigmaNext, down);
    if (up === 0) return combine(...terms);
    return combine(...terms, [up * noiseScale, await own(noise(x.shape, sigma, sigmaNext))]);
  };
  return loop(denoise, x, sigmas, rule, { resume: options.resume });
}
