/*
 *   s = η·σ′·√(1 − (α·σ′/(α′·σ))²),   ε = (x − α·D)/σ,   x′ = α′·D̂ + √(σ′² − s²)·ε + s·n,   D̂ = clip(D)
 *
 * DDIM (arXiv 2010.02502, eq. 12 and 16) for any α; with η = 0 it is Euler's step. `inverse` runs up a rising grid (from a picture to its
 * noise). Order 1 with η = 0, one network call per step. EDM, VE, VP and flow.
 * Deviates: √ of a negative rounding error is 0 (diffusers: NaN at zero terminal SNR with η = 1).
 */
import { finiteNumber, type Denoise, type MaybePromise, type Tensor } from '@ediffi/core';
import { ancestralSplit } from './euler-ancestral.js';
import { loop } from './loop.js';
import { combine, frame, seededNoise, type NoisyOptions, type Step } from './solver.js';

/** Options of DDIM. */
export interface DdimOptions extends NoisyOptions {
  readonly eta?: number;
  readonly inverse?: boolean;
  /** Bounds D for the picture term while ε keeps the raw answer (diffusers' clip_sample); for both, bound the denoiser instead. */
  readonly clip?: (denoised: Tensor) => MaybePromise<Tensor>;
  /** Where step i really goes when that is not sigmas[i + 1]: diffusers subtracts a constant from uneven timesteps. */
  readonly targets?: Float64Array;
}

/** DDIM: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an η outside [0, 1]. */
export function ddim(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DdimOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0), noiseScale = 1, clip, targets } = options;
  const eta = finiteNumber('eta', options.eta ?? 0, 0, 1);
  const at = frame(denoise);
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, index, own }) => {
      const to = targets?.[index] ?? sigmaNext;
      const { down, up } = ancestralSplit(at, sigma, to, eta);
      const direction = down / sigma;
      const picture = clip ? await own(clip(denoised)) : denoised;
      const terms: [number, Tensor][] = picture === denoised ? [[direction, x], [at.alpha(to) - at.alpha(sigma) * direction, denoised]] : [[direction, x], [-at.alpha(sigma) * direction, denoised], [at.alpha(to), picture]];
      if (up > 0) terms.push([up * noiseScale, await own(noise(x.shape, sigma, to))]);
      return combine(...terms);
    },
    { rising: options.inverse ?? false, resume: options.resume },
  );
}
