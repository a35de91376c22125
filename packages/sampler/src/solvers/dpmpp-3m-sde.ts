/*
 * With λ = −ln σ, h = λ′ − λ, k = h·(1 + η), r₀ = h₋₁/h, r₁ = h₋₂/h, Δ₀ = (D − D₋₁)/r₀, Δ₁ = (D₋₁ − D₋₂)/r₁:
 *
 *   d₁ = Δ₀ + (Δ₀ − Δ₁)·r₀/(r₀ + r₁),   d₂ = (Δ₀ − Δ₁)/(r₀ + r₁),   φ₂ = (e^(−k) − 1)/k + 1,   φ₃ = φ₂/k − 1/2
 *   x′ = e^(−k)·x + (1 − e^(−k))·D + φ₂·d₁ − φ₃·d₂ + σ′·√(1 − e^(−2ηh))·n
 *
 * DPM-Solver++(3M) SDE, k-diffusion's sample_dpmpp_3m_sde (after arXiv 2211.01095). One network call per step; third order inside for η = 0; warms up
 * with orders 1 and 2 (so the global order is 2); the step to σ = 0 returns D; only for α ≡ 1.
 */
import { finiteNumber, lincomb, type Denoise, type Tensor, type Term } from '@ediffi/core';
import type { AncestralOptions } from './ancestral.js';
import { brownianNoise } from './brownian.js';
import { loop } from './loop.js';
import { requireEdm, type Step } from './solver.js';

/** DPM++ 3M SDE: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1, OptionError for a negative η. */
export async function* dpmpp3mSde(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const eta = finiteNumber('eta', options.eta ?? 1, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  requireEdm(denoise, 'dpmpp3mSde', sigmas[0] ?? 1);
  const noise = options.noise ?? brownianNoise(0, sigmas);
  const history: { denoised: Tensor; sigma: number }[] = [];
  const rule = async ({ x, denoised, sigma, sigmaNext }: { x: Tensor; denoised: Tensor; sigma: number; sigmaNext: number }): Promise<Tensor> => {
    if (sigmaNext === 0) return lincomb([1, denoised]);
    const h = Math.log(sigma / sigmaNext);
    const k = h * (1 + eta);
    const phi2 = Math.expm1(-k) / k + 1;
    const phi3 = phi2 / k - 0.5;
    const [one, two] = history;
    const weights = [-Math.expm1(-k), 0, 0]; // of D, D₋₁, D₋₂
    if (one) {
      const r0 = Math.log(one.sigma / sigma) / h;
      const r1 = two ? Math.log(two.sigma / one.sigma) / h : Infinity;
      // φ₂·d₁ − φ₃·d₂ = a·Δ₀ − b·Δ₁
      const share = two ? 1 / (r0 + r1) : 0;
      const a = phi2 * (1 + r0 * share) - phi3 * share;
      const b = two ? phi2 * r0 * share - phi3 * share : 0;
      weights[0]! += a / r0;
      weights[1] = -a / r0 - b / r1;
      weights[2] = b / r1;
    }
    const terms: Term[] = [[Math.exp(-k), x], [weights[0]!, denoised]];
    if (one) terms.push([weights[1]!, one.denoised]);
    if (two) terms.push([weights[2]!, two.denoised]);
    if (eta === 0) return lincomb(...terms);
    const n = await noise(x.shape, sigma, sigmaNext);
    const next = await lincomb(...terms, [noiseScale * sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h)), n]);
    n.dispose();
    return next;
  };
  return yield* loop(denoise, x, sigmas, rule, history, 2);
}
