/*
 *   σ_up = min(σ′, η·√(σ′²·(σ² − σ′²)/σ²)),   σ_down = √(σ′² − σ_up²)
 *   x′ = (σ_down/σ)·x + (1 − σ_down/σ)·D + σ_up·n
 *
 * DDPM's posterior in VE form (arXiv 2006.11239), as k-diffusion's sample_euler_ancestral. One network call per step; stochastic.
 * Draws noise while σ′ > 0. Only for α ≡ 1.
 */
import { finiteNumber, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { requireEdm, seededNoise, type Noise, type Step } from './solver.js';

/** η scales the added noise (0: Euler); noiseScale multiplies each draw. */
export interface AncestralOptions {
  readonly eta?: number;
  readonly noiseScale?: number;
  readonly noise?: Noise;
}

/** How far to go down deterministically, and how much noise to add: both in σ. */
export function ancestralSplit(sigma: number, sigmaNext: number, eta: number): { down: number; up: number } {
  const up = Math.min(sigmaNext, eta * Math.sqrt((sigmaNext ** 2 * (sigma ** 2 - sigmaNext ** 2)) / sigma ** 2));
  return { up, down: Math.sqrt(Math.max(0, sigmaNext ** 2 - up ** 2)) };
}

/** Euler ancestral: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1, OptionError for a negative η. */
export async function* eulerAncestral(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0) } = options;
  const eta = finiteNumber('eta', options.eta ?? 1, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  requireEdm(denoise, 'eulerAncestral', sigmas[0] ?? 1);
  return yield* loop(denoise, x, sigmas, async ({ x, denoised, sigma, sigmaNext }) => {
    const { down, up } = ancestralSplit(sigma, sigmaNext, eta);
    if (sigmaNext === 0) return lincomb([down / sigma, x], [1 - down / sigma, denoised]);
    const n = await noise(x.shape);
    const next = await lincomb([down / sigma, x], [1 - down / sigma, denoised], [up * noiseScale, n]);
    n.dispose();
    return next;
  });
}
