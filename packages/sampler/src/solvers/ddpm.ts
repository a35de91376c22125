/*
 *   a = α/α′,  β = σ² − a²·σ′²,   x′ = (α′·β/σ²)·D + (a·σ′²/σ²)·x + √v·n,   v = β·σ′²/σ² (small) or β (large)
 *
 * Ancestral sampling of DDPM (arXiv 2006.11239, eqs. 6–7 and §3.2) for any α: β is what one step of the forward process adds. One network
 * call per step; stochastic, weak order 1. With v small it is Euler ancestral with η = 1. Noise while σ′ > 0. EDM, VE, VP and flow.
 */
import { OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { combine, frame, seededNoise, type NoisyOptions, type Step } from './solver.js';

/** Which of DDPM's two variances; `finalNoise` adds it also on the step to σ = 0, as diffusers does unless that step leaves t = 0. */
export interface DdpmOptions extends NoisyOptions {
  readonly variance?: 'small' | 'large';
  readonly finalNoise?: boolean;
}

/** DDPM: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an unknown variance. */
export function ddpm(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DdpmOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0), noiseScale = 1, variance = 'small', finalNoise = false } = options;
  if (variance !== 'small' && variance !== 'large') throw new OptionError('variance', variance, 'small or large');
  const { alpha } = frame(denoise);
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, own }) => {
      const a = alpha(sigma) / alpha(sigmaNext);
      const keep = (sigmaNext / sigma) ** 2;
      const beta = sigma ** 2 - a * a * sigmaNext ** 2;
      const terms: [number, Tensor][] = [[(alpha(sigmaNext) * beta) / sigma ** 2, denoised], [a * keep, x]];
      if (sigmaNext > 0 || finalNoise) terms.push([noiseScale * Math.sqrt(variance === 'large' ? beta : beta * keep), await own(noise(x.shape, sigma, sigmaNext))]);
      return combine(...terms);
    },
    { resume: options.resume },
  );
}
