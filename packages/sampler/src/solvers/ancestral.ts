/*
 *   σ_up = min(σ′, η·√(σ′²·(σ² − σ′²)/σ²)),   σ_down = √(σ′² − σ_up²);   step to σ_down, then x′ = x + S_noise·σ_up·n
 *
 * DDPM's posterior in VE form (arXiv 2006.11239), as in k-diffusion's ancestral samplers. Draws noise while σ′ > 0. Only for α ≡ 1.
 */
import { finiteNumber, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { requireEdm, seededNoise, type Noise, type Step } from './solver.js';

/** η scales the added noise (0: none); noiseScale multiplies each draw. */
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

/** The loop of ancestral solvers: `to` takes x from σ to σ_down. */
export async function* ancestralLoop(
  name: string,
  denoise: Denoise,
  x: Tensor,
  sigmas: Float64Array,
  options: AncestralOptions,
  to: (x: Tensor, denoised: Tensor, sigma: number, down: number) => Promise<Tensor> | Tensor,
): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0) } = options;
  const eta = finiteNumber('eta', options.eta ?? 1, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  requireEdm(denoise, name, sigmas[0] ?? 1);
  return yield* loop(denoise, x, sigmas, async ({ x, denoised, sigma, sigmaNext }) => {
    const { down, up } = ancestralSplit(sigma, sigmaNext, eta);
    const lower = await to(x, denoised, sigma, down);
    if (sigmaNext === 0) return lower;
    const n = await noise(x.shape, sigma, sigmaNext);
    const next = await lincomb([1, lower], [up * noiseScale, n]);
    lower.dispose();
    n.dispose();
    return next;
  });
}
