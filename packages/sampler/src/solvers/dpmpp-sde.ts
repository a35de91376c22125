/*
 *   λ_s = λ + r·h,   u = ancestral step from σ to σ_s with D,   D̂ = (1 − 1/2r)·D + (1/2r)·D(u; σ_s),   x′ = ancestral step from σ to σ′ with D̂
 *
 * DPM-Solver++(S) for the SDE, k-diffusion's sample_dpmpp_sde (r = ½). Two network calls per step; stochastic; order 2 with η = 0. The
 * noises of the two overlapping intervals must come from one Brownian path (`pathOf`). EDM, VE, VP and flow.
 */
import { finiteNumber, type Denoise, type Tensor } from '@ediffi/core';
import { pathOf } from '../noise/brownian.js';
import { ancestralOptions, ancestralSplit, type AncestralOptions } from './euler-ancestral.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, type Step } from './solver.js';

/** Options of dpmppSde: where the second call lies. */
export interface DpmppSdeOptions extends AncestralOptions {
  readonly r?: number;
}

/** DPM++ SDE: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for a negative η or an r outside (0, 1]. */
export function dpmppSde(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DpmppSdeOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { eta, noiseScale, noise } = ancestralOptions({ ...options, noise: pathOf(options.noise) });
  const r = finiteNumber('r', options.r ?? 0.5, 1e-6, 1);
  const at = frame(denoise);
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, evaluate, own }) => {
    const toward = async (d: readonly [number, Tensor][], next: number): Promise<[number, Tensor][]> => {
      const { down, up } = ancestralSplit(at, sigma, next, eta);
      const [keep, gain] = firstOrder(at, x, denoised, sigma, next, down);
      const terms: [number, Tensor][] = [[keep![0], x], ...d.map(([share, t]): [number, Tensor] => [share * gain![0], t])];
      if (up > 0) terms.push([up * noiseScale, await own(noise(x.shape, sigma, next))]);
      return terms;
    };
    if (sigmaNext === 0 || at.alpha(sigma) === 0) return combine(...(await toward([[1, denoised]], sigmaNext)));
    const middle = at.sigmaAt(at.lambda(sigma) + r * (at.lambda(sigmaNext) - at.lambda(sigma)));
    const second = await evaluate(await own(combine(...(await toward([[1, denoised]], middle)))), middle);
    return combine(...(await toward([[1 - 1 / (2 * r), denoised], [1 / (2 * r), second]], sigmaNext)));
  };
  return loop(denoise, x, sigmas, rule, { resume: options.resume });
}
