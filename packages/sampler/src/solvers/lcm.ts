/*
 *   x′ = α′·D + σ′·n,   n = 0 where σ′ = 0
 *
 * Multistep consistency sampling (arXiv 2303.01469, Alg. 1; latent consistency arXiv 2310.04378, Alg. 3): predict the picture, noise it again.
 * The denoiser is the consistency function (`consistencyBoundary` applies c_skip, c_out). One network call per step; stochastic; for distilled
 * models. On flow models it is the stochastic flow-matching Euler of diffusers. EDM, VE, VP and flow.
 */
import { finiteNumber, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { combine, frame, seededNoise, type NoisyOptions, type Step } from './solver.js';

/** LCM: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for a negative noise scale. */
export function lcm(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: NoisyOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0) } = options;
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  const { alpha } = frame(denoise);
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, own }) =>
    sigmaNext > 0 ? combine([alpha(sigmaNext), denoised], [sigmaNext * noiseScale, await own(noise(x.shape, sigma, sigmaNext))]) : combine([alpha(0), denoised]);
  return loop(denoise, x, sigmas, rule, { resume: options.resume });
}
