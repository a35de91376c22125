/*
 *   H = (1 + η)·h,  r = h₋₁/h,   x′ = (σ′/σ)·e^(−ηh)·x + α′·(1 − e^(−H))·D + c·(D − D₋₁)/r + σ′·√(1 − e^(−2ηh))·n
 *   c = α′·(1 − e^(−H))/2 (midpoint),   c = α′·(1 − (1 − e^(−H))/H) (heun)
 *
 * SDE-DPM-Solver++(2M), arXiv 2211.01095 App. B with k-diffusion's η (sample_dpmpp_2m_sde). One network call per step; stochastic; order 2
 * with η = 0. The step to σ = 0 is x′ = D. Noise from a Brownian path by default. EDM, VE, VP and flow.
 */
import { finiteNumber, OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { pathOf } from '../noise/brownian.js';
import { loop } from './loop.js';
import { combine, frame, type NoisyOptions, type Step } from './solver.js';

/** η of the SDE (0: the ODE) and the rule for the second order. */
export interface Dpmpp2mSdeOptions extends NoisyOptions {
  readonly eta?: number;
  readonly type?: 'midpoint' | 'heun';
}

/** DPM++ 2M SDE: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for a negative η or an unknown type. */
export function dpmpp2mSde(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: Dpmpp2mSdeOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { type = 'midpoint' } = options;
  const noise = pathOf(options.noise);
  const eta = finiteNumber('eta', options.eta ?? 1, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  if (type !== 'midpoint' && type !== 'heun') throw new OptionError('type', type, 'midpoint or heun');
  const { alpha, lambda } = frame(denoise);
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, history: [previous], own }) => {
    const a = alpha(sigmaNext);
    if (sigmaNext === 0) return combine([a, denoised]);
    const h = lambda(sigmaNext) - lambda(sigma);
    const gain = -a * Math.expm1(-h * (1 + eta));
    const c = type === 'heun' ? a - gain / (h * (1 + eta)) : gain / 2;
    const step = previous ? (c * h) / (lambda(sigma) - lambda(previous.sigma)) : 0; // 0 too after a start at α = 0
    const terms: [number, Tensor][] = [[(sigmaNext / sigma) * (eta > 0 ? Math.exp(-eta * h) : 1), x], [gain + step, denoised]];
    if (previous) terms.push([-step, previous.value]);
    if (eta > 0) terms.push([noiseScale * sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h)), await own(noise(x.shape, sigma, sigmaNext))]);
    return combine(...terms);
  };
  return loop(denoise, x, sigmas, rule, { depth: 1, resume: options.resume });
}
