/*
 *   K = 1 + τ²,  h = λ′ − λ,  wⱼ = K·α′·e^(−K·h)·∫₀ʰ e^(K·v)·ℓⱼ(v) dv:   x′ = e^(−τ²h)·(σ′/σ)·x + Σ wⱼ·mⱼ + σ′·√(1 − e^(−2τ²h))·n   (data)
 *   wⱼ = −K·α′·(σ/α)·∫₀ʰ e^(−v)·ℓⱼ(v) dv:   x′ = (α′/α)·x + Σ wⱼ·mⱼ + τ·σ′·√(e^(2h) − 1)·n   (noise)
 *
 * SA-Solver (arXiv 2309.05019, eqs. 14, 17; Alg. 1): stochastic Adams–Bashforth predictor (order 1–3), Adams–Moulton corrector (1–4, same
 * noise), one network call per step; ℓⱼ Lagrange polynomials in λ. For order 2 in data form the authors' code replaces the weights' second
 * moment by that of a mid-point rule, as here. τ: how stochastic, 0 is an ODE solver. The step to σ = 0 is x′ = D; where the last σ stands twice, the last call only corrects. EDM, VE, VP and flow.
 */
import { integer, OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { expLagrange } from '../math/exp-lagrange.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, seededNoise, type NoisyOptions, type Past, type Step } from './solver.js';

/** Options of SA-Solver; τ = 1 by default, or a function of σ. Corrector order 0 turns it off. */
export interface SaOptions extends NoisyOptions {
  readonly predictorOrder?: number;
  readonly correctorOrder?: number;
  readonly tau?: number | ((sigma: number) => number);
  readonly prediction?: 'data' | 'noise';
  readonly lowerOrderFinal?: boolean;
}

/** SA-Solver: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for illegal orders and predictions. */
export function saSolver(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: SaOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { prediction = 'data', lowerOrderFinal = true, noise = seededNoise(0), noiseScale = 1, tau = 1 } = options;
  const [predictor, corrector] = [integer('predictorOrder', options.predictorOrder ?? 2, 1, 3), integer('correctorOrder', options.correctorOrder ?? 2, 0, 4)];
  if (prediction !== 'data' && prediction !== 'noise') throw new OptionError('prediction', prediction, 'data or noise');
  const tauAt = typeof tau === 'function' ? tau : (): number => tau;
  const at = frame(denoise);
  const { alpha, lambda } = at;
  const depth = Math.max(predictor, corrector - 1);
  /** x at `from.sigma` → x at σ′ with the answers `used`; correcting when the first of them is at σ′. */
  const update = (from: Past, used: readonly { sigma: number; value: Tensor }[], sigmaNext: number): ReturnType<typeof combine> => {
    const [sigma, t] = [from.sigma, tauAt(from.sigma)];
    const h = lambda(sigmaNext) - lambda(sigma);
    const [k, a] = [1 + t * t, alpha(sigmaNext)];
    const nodes = used.map((p) => lambda(p.sigma) - lambda(sigma));
    const data = prediction === 'data';
    const scale = data ? k * a * Math.exp(-k * h) : (-k * a * sigma) / alpha(sigma);
    const weights = expLagrange(nodes, h, data ? k : -1).map((w) => w * scale);
    if (data && used.length === 2) {
      const span = nodes[0]! - nodes[1]!; // predictor: λ − λ₋₁; corrector: h
      const extra = (k * a * (h ** 2 / 2 - (k * h + Math.expm1(-k * h)) / k ** 2)) / span;
      weights[0]! += extra;
      weights[1]! -= extra;
    }
    const keep = data ? Math.exp(-t * t * h) * (sigmaNext / sigma) : a / alpha(sigma);
    const stir = data ? sigmaNext * Math.sqrt(-Math.expm1(-2 * t * t * h)) : t * sigmaNext * Math.sqrt(Math.expm1(2 * h));
    return combine([keep, from.x!], ...used.map((p, j) => [weights[j]!, p.value] as const), [stir * noiseScale, from.noise!]);
  };
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, index, count, history, own }) => {
    const value = prediction === 'data' ? denoised : await own(combine([1 / sigma, x], [-alpha(sigma) / sigma, denoised]));
    const known = history.filter((p) => p.noise && lambda(p.sigma) !== -Infinity);
    const correcting = corrector > 0 && known.length > 0;
    const c = Math.min(corrector, lowerOrderFinal ? count - index + 2 : corrector, known.length + 1);
    const better = correcting ? await own(update(known[0]!, [{ sigma, value }, ...known].slice(0, c), sigma)) : x;
    if (sigmaNext === 0 || alpha(sigma) === 0) {
      return { next: await combine(...firstOrder(at, better, denoised, sigma, sigmaNext)), past: { sigma, value } };
    }
    if (sigmaNext === sigma) return { next: better === x ? await combine([1, x]) : better, past: { sigma, value } };
    const past = { sigma, value, x: better, noise: await own(noise(x.shape, sigma, sigmaNext)) };
    const p = Math.min(predictor, lowerOrderFinal ? count - index : predictor, known.length + 1);
    return { next: await update(past, [past, ...known].slice(0, p), sigmaNext), past };
  };
  return loop(denoise, x, sigmas, rule, { depth, repeatLast: true, resume: options.resume, planned: options.planned });
}
