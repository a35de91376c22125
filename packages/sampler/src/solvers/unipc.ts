/*
 *   mₖ answers at earlier σ, rₖ = (λₖ − λ)/h, Dₖ = (mₖ − m₀)/rₖ;  B(h) = h̄ (bh1) or e^h̄ − 1 (bh2),  h̄ = −h (data) or h (noise)
 *   predictor: x′ = base − c·B·Σ ρᵖₖ·Dₖ;   corrector, once m′ = D(x′; σ′) is known: x′ ← base − c·B·(Σ ρᶜₖ·Dₖ + ρᶜ·(m′ − m₀))
 *   data: base = (σ′/σ)·x − α′·(e^h̄ − 1)·m₀, c = α′;   noise: base = (α′/α)·x − σ′·(e^h̄ − 1)·m₀, c = σ′;   ρ solves R·ρ = b (eq. 10)
 *
 * UniPC (arXiv 2302.04867, Alg. 1–2 and App. E). Order p (1–3) plus the corrector's one, one network call per step. EDM, VE, VP, flow.
 * Deviates: as the authors' code, ρ = ½ for the order-2 predictor and the order-1 corrector (exact up to the order claimed).
 */
import { integer, OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { solveLinear } from '../math/linear-system.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, type Past, type SolverOptions, type Step } from './solver.js';

/** Options of UniPC: bh2, order 2, data prediction, corrector on. */
export interface UnipcOptions extends SolverOptions {
  readonly order?: number;
  readonly variant?: 'bh1' | 'bh2';
  readonly prediction?: 'data' | 'noise';
  /** Orders 3, 2, 1 towards the end (default true). */
  readonly lowerOrderFinal?: boolean;
  /** Indices of steps whose result is not corrected. */
  readonly skipCorrector?: readonly number[];
}

function weights(ratios: readonly number[], hh: number, gain: number, size: number): number[] {
  const right: number[] = [];
  let phi = Math.expm1(hh) / hh - 1;
  for (let i = 1, factorial = 1; i <= size; i++) {
    right.push((phi * factorial) / gain);
    factorial *= i + 1;
    phi = phi / hh - 1 / factorial;
  }
  return solveLinear(right.map((_, i) => ratios.map((r) => r ** i)), right);
}

/** UniPC: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an order outside 1…3 or an unknown variant. */
export function unipc(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: UnipcOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { variant = 'bh2', prediction = 'data', lowerOrderFinal = true, skipCorrector = [] } = options;
  const order = integer('order', options.order ?? 2, 1, 3);
  if (variant !== 'bh1' && variant !== 'bh2') throw new OptionError('variant', variant, 'bh1 or bh2');
  if (prediction !== 'data' && prediction !== 'noise') throw new OptionError('prediction', prediction, 'data or noise');
  const at = frame(denoise);
  const { alpha, lambda } = at;
  const orderAt = (index: number): number => Math.min(order, lowerOrderFinal ? (options.planned ?? sigmas.length - 1) - index : order, index + 1);
  /** One update from the newest of `used` at its x to σ′; `answer` is m′ when correcting. */
  const update = (from: Tensor, used: readonly Past[], sigmaNext: number, answer?: Tensor): ReturnType<typeof combine> => {
    const [{ sigma, value: m0 }] = used as [Past];
    const h = lambda(sigmaNext) - lambda(sigma);
    const hh = prediction === 'data' ? -h : h;
    const gain = variant === 'bh1' ? hh : Math.expm1(hh);
    const c = prediction === 'data' ? alpha(sigmaNext) : sigmaNext;
    const ratios = used.slice(1).map((p) => (lambda(p.sigma) - lambda(sigma)) / h);
    const rho = answer ? (ratios.length === 0 ? [0.5] : weights([...ratios, 1], hh, gain, used.length)) : ratios.length === 1 ? [0.5] : weights(ratios, hh, gain, ratios.length);
    const terms: [number, Tensor][] = used.slice(1).map((p, k) => [(-c * gain * rho[k]!) / ratios[k]!, p.value]);
    if (answer) terms.push([-c * gain * rho[ratios.length]!, answer]);
    const others = terms.reduce((sum, [w]) => sum + w, 0);
    return combine([prediction === 'data' ? sigmaNext / sigma : alpha(sigmaNext) / alpha(sigma), from], [-c * Math.expm1(hh) - others, m0], ...terms);
  };
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, index, history, own }) => {
    const value = prediction === 'data' ? denoised : await own(combine([1 / sigma, x], [-alpha(sigma) / sigma, denoised]));
    const known = history.filter((p) => lambda(p.sigma) !== -Infinity);
    const correct = known.length > 0 && !skipCorrector.includes(index - 1);
    const better = correct ? await own(update(known[0]!.x!, known.slice(0, Math.min(orderAt(index - 1), known.length)), sigma, value)) : x;
    const past = { sigma, value, x: better };
    const used = [past, ...known].slice(0, orderAt(index));
    if (sigmaNext > 0 && used.length > 0 && alpha(sigma) > 0) return { next: await update(better, used, sigmaNext), past };
    return { next: await combine(...firstOrder(at, better, denoised, sigma, sigmaNext)), past };
  };
  return loop(denoise, x, sigmas, rule, { depth: order, resume: options.resume, planned: options.planned });
}
