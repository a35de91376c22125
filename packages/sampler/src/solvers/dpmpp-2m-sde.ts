/*
 * With λ = −ln σ, h = λ′ − λ, k = h·(1 + η), ψ = 1 − e^(−k), r = h₋₁/h, Δ = (D − D₋₁)/r:
 *
 *   x′ = (σ′/σ)·e^(−ηh)·x + ψ·D + c·Δ + σ′·√(1 − e^(−2ηh))·n,   c = ψ/2 (midpoint) or 1 − ψ/k (heun)
 *
 * DPM-Solver++(2M) SDE (arXiv 2211.01095, §5 and appendix); k-diffusion's sample_dpmpp_2m_sde. One network call per step; second order for
 * η = 0; the step to σ = 0 returns D; only for α ≡ 1.
 */
import { finiteNumber, lincomb, OptionError, type Denoise, type Tensor, type Term } from '@ediffi/core';
import type { AncestralOptions } from './ancestral.js';
import { brownianNoise } from './brownian.js';
import { loop } from './loop.js';
import { requireEdm, type Step } from './solver.js';

/** Which second-order correction; 'midpoint' by default. */
export interface Dpmpp2mSdeOptions extends AncestralOptions {
  readonly correction?: 'midpoint' | 'heun';
}

/** DPM++ 2M SDE: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1, OptionError for illegal options. */
export async function* dpmpp2mSde(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: Dpmpp2mSdeOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { correction = 'midpoint' } = options;
  const eta = finiteNumber('eta', options.eta ?? 1, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  if (correction !== 'midpoint' && correction !== 'heun') throw new OptionError('correction', correction, "'midpoint' or 'heun'");
  requireEdm(denoise, 'dpmpp2mSde', sigmas[0] ?? 1);
  const noise = options.noise ?? brownianNoise(0, sigmas);
  const history: { denoised: Tensor; sigma: number }[] = [];
  const rule = async ({ x, denoised, sigma, sigmaNext }: { x: Tensor; denoised: Tensor; sigma: number; sigmaNext: number }): Promise<Tensor> => {
    if (sigmaNext === 0) return lincomb([1, denoised]);
    const h = Math.log(sigma / sigmaNext);
    const k = h * (1 + eta);
    const psi = -Math.expm1(-k);
    const terms: Term[] = [[(sigmaNext / sigma) * Math.exp(-eta * h), x], [psi, denoised]];
    const previous = history[0];
    if (previous) {
      const c = ((correction === 'midpoint' ? psi / 2 : 1 - psi / k) * h) / Math.log(previous.sigma / sigma);
      terms[1] = [psi + c, denoised];
      terms.push([-c, previous.denoised]);
    }
    if (eta === 0) return lincomb(...terms);
    const n = await noise(x.shape, sigma, sigmaNext);
    const next = await lincomb(...terms, [noiseScale * sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h)), n]);
    n.dispose();
    return next;
  };
  return yield* loop(denoise, x, sigmas, rule, history, 1);
}
