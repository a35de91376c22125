/*
 *   D0 = D,  D1 = (D − D₋₁)/r₀ (order 2),  D1 = D₁⁰ + r₀/(r₀+r₁)·(D₁⁰ − D₁¹),  D2 = 2·(D₁⁰ − D₁¹)/(r₀+r₁) (order 3),   rᵢ = hᵢ₋₁/h
 *   x′ = cₓ·x + c₀·D0 + c₁·D1 + c₂·D2 + cₙ·n   (dpm-terms.ts)
 *
 * Multistep DPM-Solver and DPM-Solver++ (arXiv 2206.00927, 2211.01095), ODE and SDE, orders 1–3, mid-point or Heun; one network call per
 * step, lower order while the memory fills and on the step to σ = 0. EDM, VE, VP and flow. `inverse` runs up a rising grid.
 * Deviates: the authors' and diffusers' order 3 takes half of D2, which leaves order 2, and diffusers' sde-dpmsolver++ also has −½ where the
 * integral gives +½; `asDiffusers` does both.
 */
import { integer, OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { dpmTerms, type DpmAlgorithm } from './dpm-terms.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, seededNoise, type NoisyOptions, type Step } from './solver.js';

/** Which DPM-Solver; DPM++ of order 2 with the mid-point rule by default. */
export interface DpmOptions extends NoisyOptions {
  readonly algorithm?: DpmAlgorithm;
  readonly order?: number;
  readonly type?: 'midpoint' | 'heun';
  /** Orders 1 for the last and at most 2 for the last but one step. */
  readonly lowerOrderFinal?: boolean;
  /** Order 1 for the last step. */
  readonly eulerAtFinal?: boolean;
  readonly inverse?: boolean;
  readonly asDiffusers?: boolean;
}

/** The checked options of a DPM-Solver. Throws OptionError. */
export function dpmOptions(options: DpmOptions): Required<Pick<DpmOptions, 'algorithm' | 'order' | 'type' | 'noise' | 'noiseScale'>> & { data: boolean; sde: boolean } {
  const { algorithm = 'dpmsolver++', type = 'midpoint', noise = seededNoise(0), noiseScale = 1 } = options;
  if (!['dpmsolver++', 'dpmsolver', 'sde-dpmsolver++', 'sde-dpmsolver'].includes(algorithm)) throw new OptionError('algorithm', algorithm, 'dpmsolver++, dpmsolver, sde-dpmsolver++ or sde-dpmsolver');
  if (type !== 'midpoint' && type !== 'heun') throw new OptionError('type', type, 'midpoint or heun');
  return { algorithm, order: integer('order', options.order ?? 2, 1, 3), type, noise, noiseScale, data: algorithm.endsWith('++'), sde: algorithm.startsWith('sde') };
}

/** Multistep DPM-Solver: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for unknown algorithms, types and orders. */
export function dpmMultistep(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DpmOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { algorithm, order, type, noise, noiseScale, data, sde } = dpmOptions(options);
  const { alpha, lambda } = frame(denoise);
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, index, count, history, own }) => {
    const value = data ? denoised : await own(combine([1 / sigma, x], [-alpha(sigma) / sigma, denoised]));
    const past = { sigma, value };
    if (sigmaNext === 0 || (!data && alpha(sigma) === 0)) return { next: await combine(...firstOrder({ alpha, lambda, sigmaAt: Number }, x, denoised, sigma, sigmaNext)), past };
    const last = index === count - 1 && (options.eulerAtFinal || options.lowerOrderFinal) ? 1 : index === count - 2 && options.lowerOrderFinal ? 2 : order;
    const known = history.filter((p) => lambda(p.sigma) !== -Infinity);
    const now = Math.min(order, last, known.length + 1);
    const h = lambda(sigmaNext) - lambda(sigma);
    const c = dpmTerms(algorithm, h, alpha(sigma), sigma, alpha(sigmaNext), sigmaNext);
    const d2 = !options.asDiffusers ? 2 * c.d2 : algorithm === 'sde-dpmsolver++' ? c.d2 - alpha(sigmaNext) : c.d2;
    const r0 = now > 1 ? (lambda(sigma) - lambda(known[0]!.sigma)) / h : 1;
    const r1 = now > 2 ? (lambda(known[0]!.sigma) - lambda(known[1]!.sigma)) / h : 1;
    const [w10, w11] = now === 1 ? [0, 0] : now === 2 ? [type === 'heun' ? c.full : c.half, 0] : [c.full * (1 + r0 / (r0 + r1)) + d2 / (r0 + r1), -(c.full * r0 + d2) / (r0 + r1)];
    const terms = [[c.x, x], [c.d0 + w10 / r0, value]] as [number, Tensor][];
    if (now > 1) terms.push([-w10 / r0 + w11 / r1, known[0]!.value]);
    if (now > 2) terms.push([-w11 / r1, known[1]!.value]);
    if (sde) terms.push([c.noise * noiseScale, await own(noise(x.shape, sigma, sigmaNext))]);
    return { next: await combine(...terms), past };
  };
  return loop(denoise, x, sigmas, rule, { depth: order - 1, rising: options.inverse ?? false, resume: options.resume, planned: options.planned });
}
