/*
 *   λ_s = λ + (λ_down − λ)/2,   u = (σ_s/σ)·x + (α_s − α·σ_s/σ)·D,   x′ = (σ_down/σ)·x + (α′ − α·σ_down/σ)·D(u; σ_s) + σ_up·n
 *
 * DPM-Solver++(2S) (arXiv 2211.01095, Alg. 1) down to σ_down, then noise up to σ′: k-diffusion's sample_dpmpp_2s_ancestral.
 * Two network calls per step (one where there is nothing to go down to); stochastic; order 2 with η = 0. EDM, VE, VP and flow.
 */
import { type Denoise, type Tensor } from '@ediffi/core';
import { ancestralOptions, ancestralSplit, type AncestralOptions } from './euler-ancestral.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, type Step } from './solver.js';

/** DPM++ 2S ancestral: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for a negative η. */
export function dpmpp2sAncestral(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { eta, noiseScale, noise } = ancestralOptions(options);
  const at = frame(denoise);
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, evaluate, own }) => {
    const { down, up } = ancestralSplit(at, sigma, sigmaNext, eta);
    let best = denoised;
    if (down > 0 && at.alpha(sigma) > 0) {
      const target = Math.log(at.alpha(sigmaNext) / down);
      const middle = at.sigmaAt((at.lambda(sigma) + target) / 2);
      best = await evaluate(await own(combine(...firstOrder(at, x, denoised, sigma, middle))), middle);
    }
    const terms = firstOrder(at, x, best, sigma, sigmaNext, down);
    return up > 0 ? combine(...terms, [up * noiseScale, await own(noise(x.shape, sigma, sigmaNext))]) : combine(...terms);
  };
  return loop(denoise, x, sigmas, rule, { resume: options.resume });
}
