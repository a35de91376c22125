/*
 *   x_s = α_s·D + σ_s·ε,  ε = (x − α·D)/σ,   x′ = (α′/α_s)·x_s + √(σ′² − (α′·σ_s/α_s)²)·n,   s below σ′ by γ
 *
 * Trajectory consistency distillation with strategic stochastic sampling (arXiv 2402.19159, Alg. 4): go down to s, noise up to σ′.
 * One network call per step; stochastic for γ > 0; for distilled models. EDM, VE, VP and flow.
 * The paper's s is (1 − γ)·t′ in the model's time: give `intermediate` for it; without, σ_s = (1 − γ)·σ′.
 */
import { finiteNumber, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { combine, firstOrder, frame, seededNoise, type NoisyOptions, type Step } from './solver.js';

/** γ (called η in diffusers; 0.3 by default) and how σ_s follows from σ′. */
export interface TcdOptions extends NoisyOptions {
  readonly eta?: number;
  readonly intermediate?: (sigmaNext: number) => number;
}

/** TCD: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an η outside [0, 1]. */
export function tcd(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: TcdOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0), noiseScale = 1 } = options;
  const eta = finiteNumber('eta', options.eta ?? 0.3, 0, 1);
  const intermediate = options.intermediate ?? ((sigmaNext: number) => (1 - eta) * sigmaNext);
  const at = frame(denoise);
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, index, count, own }) => {
      const s = intermediate(sigmaNext);
      const terms = firstOrder(at, x, denoised, sigma, s);
      if (eta === 0 || index === count - 1) return combine(...terms);
      const ratio = at.alpha(sigmaNext) / at.alpha(s);
      const up = Math.sqrt(Math.max(0, sigmaNext ** 2 - (ratio * s) ** 2));
      return combine(...terms.map(([c, t]) => [c * ratio, t] as const), [up * noiseScale, await own(noise(x.shape, sigma, sigmaNext))]);
    },
    { resume: options.resume },
  );
}
