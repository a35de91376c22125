/*
 *   H = (1 + η)·h,  φ₂ = α′·((e^(−H) − 1)/H + 1),  φ₃ = φ₂/H − α′/2,  D1, D2 divided differences as in dpm-multistep.ts
 *   x′ = (σ′/σ)·e^(−ηh)·x + α′·(1 − e^(−H))·D + φ₂·D1 − φ₃·D2 + σ′·√(1 − e^(−2ηh))·n
 *
 * k-diffusion's sample_dpmpp_3m_sde (no paper; after arXiv 2211.01095 App. B). One network call per step; stochastic; measured order 2 with
 * η = 0, because the D2 term is half of what order 3 needs (dpmMultistep has the full one). The step to σ = 0 is x′ = D. Noise from a Brownian path by default. EDM, VE, VP and flow.
 */
import { finiteNumber, type Denoise, type Tensor } from '@ediffi/core';
import { pathOf } from '../noise/brownian.js';
import { type AncestralOptions } from './euler-ancestral.js';
import { loop } from './loop.js';
import { combine, frame, type Step } from './solver.js';

/** DPM++ 3M SDE: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for a negative η. */
export function dpmpp3mSde(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const noise = pathOf(options.noise);
  const eta = finiteNumber('eta', options.eta ?? 1, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  const { alpha, lambda } = frame(denoise);
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, history, own }) => {
    const a = alpha(sigmaNext);
    if (sigmaNext === 0) return combine([a, denoised]);
    const known = history.filter((p) => lambda(p.sigma) !== -Infinity);
    const h = lambda(sigmaNext) - lambda(sigma);
    const H = h * (1 + eta);
    const gain = -a * Math.expm1(-H);
    const phi2 = a - gain / H;
    const phi3 = phi2 / H - a / 2;
    const [m1, m2] = known;
    const r0 = m1 ? (lambda(sigma) - lambda(m1.sigma)) / h : 1;
    const r1 = m1 && m2 ? (lambda(m1.sigma) - lambda(m2.sigma)) / h : 1;
    // Weights of (D − D₋₁)/r₀ and (D₋₁ − D₋₂)/r₁.
    const [w0, w1] = m2 ? [phi2 * (1 + r0 / (r0 + r1)) - phi3 / (r0 + r1), (phi3 - phi2 * r0) / (r0 + r1)] : m1 ? [phi2, 0] : [0, 0];
    const terms: [number, Tensor][] = [[(sigmaNext / sigma) * (eta > 0 ? Math.exp(-eta * h) : 1), x], [gain + w0 / r0, denoised]];
    if (m1) terms.push([w1 / r1 - w0 / r0, m1.value]);
    if (m2) terms.push([-w1 / r1, m2.value]);
    if (eta > 0) terms.push([noiseScale * sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h)), await own(noise(x.shape, sigma, sigmaNext))]);
    return combine(...terms);
  };
  return loop(denoise, x, sigmas, rule, { depth: 2, resume: options.resume });
}
