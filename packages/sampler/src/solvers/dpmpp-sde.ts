/*
 * With t = −ln σ, h = t′ − t, σ_s = e^−(t + r·h), and ancestral splits (ancestral.ts) for σ → σ_s and σ → σ′:
 *
 *   x_s = (σ_s↓/σ)·x + (1 − σ_s↓/σ)·D + σ_s↑·n(σ, σ_s)
 *   x′  = (σ↓/σ)·x + (1 − σ↓/σ)·((1 − 1/2r)·D + (1/2r)·D(x_s; σ_s)) + σ↑·n(σ, σ′)
 *
 * DPM-Solver++ (SDE), stochastic 2S; k-diffusion's sample_dpmpp_sde. n are increments of ONE Brownian path over overlapping intervals:
 * use brownianNoise. Two network calls per step; the step to σ = 0 is Euler's; only for α ≡ 1.
 */
import { finiteNumber, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { ancestralSplit, type AncestralOptions } from './ancestral.js';
import { brownianNoise } from './brownian.js';
import { loop } from './loop.js';
import { eulerStep, requireEdm, type Step } from './solver.js';

/** r in (0, 1]: where between t and t′ the second call is made; default 1/2. */
export interface DpmppSdeOptions extends AncestralOptions {
  readonly r?: number;
}

/** DPM++ SDE: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1, OptionError for illegal η or r. */
export async function* dpmppSde(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DpmppSdeOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const eta = finiteNumber('eta', options.eta ?? 1, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  const r = finiteNumber('r', options.r ?? 0.5, Number.MIN_VALUE, 1);
  requireEdm(denoise, 'dpmppSde', sigmas[0] ?? 1);
  const noise = options.noise ?? brownianNoise(0, sigmas);
  return yield* loop(denoise, x, sigmas, async ({ x, denoised, sigma, sigmaNext }) => {
    if (sigmaNext === 0) return eulerStep(x, denoised, sigma, 0);
    const middle = sigma * (sigmaNext / sigma) ** r;
    const first = ancestralSplit(sigma, middle, eta);
    const n1 = await noise(x.shape, sigma, middle);
    const xs = await lincomb([first.down / sigma, x], [1 - first.down / sigma, denoised], [first.up * noiseScale, n1]);
    const ds = await denoise(xs, middle);
    const second = ancestralSplit(sigma, sigmaNext, eta);
    const gain = 1 - second.down / sigma;
    const n2 = await noise(x.shape, sigma, sigmaNext);
    const next = await lincomb([second.down / sigma, x], [gain * (1 - 1 / (2 * r)), denoised], [gain / (2 * r), ds], [second.up * noiseScale, n2]);
    for (const t of [n1, xs, ds, n2]) t.dispose();
    return next;
  });
}
