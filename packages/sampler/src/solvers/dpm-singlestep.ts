/*
 *   orders of consecutive grid intervals: 1, 2, …, k, 1, 2, …, k; the step of order j starts at the grid point where the run of orders
 *   began, uses the j answers since, and goes to the next grid point:  x′ = cₓ·x₀ + c₀·D0 + c₁·D1 + c₂·D2 + cₙ·n   (dpm-terms.ts)
 *
 * Singlestep DPM-Solver(++) (arXiv 2206.00927 Alg. 1–2, 2211.01095 Alg. 1) with the intermediate nodes on the grid, as the authors' and
 * diffusers' code place them: one network call per interval, one order-k step per k intervals. EDM, VE, VP and flow.
 * Deviates: the step to σ = 0 is of order 1; the SDE's noise is one Brownian path by default, because the intervals overlap.
 */
import { OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { pathOf } from '../noise/brownian.js';
import { dpmOptions, type DpmOptions } from './dpm-multistep.js';
import { dpmTerms } from './dpm-terms.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, type Step } from './solver.js';

/** Options of the singlestep DPM-Solver; `orders` replaces the default runs 1, 2, …, k. */
export interface SinglestepOptions extends Omit<DpmOptions, 'lowerOrderFinal' | 'eulerAtFinal' | 'inverse' | 'asDiffusers'> {
  readonly orders?: readonly number[];
}

/** Runs of orders 1…k over n intervals; a run that does not fit is cut short, and the last interval is of order 1. */
export function singlestepOrders(intervals: number, order: number, finalFirst = true): number[] {
  const orders = Array.from({ length: intervals }, (_, i) => (i % order) + 1);
  if (finalFirst && intervals > 0) orders[intervals - 1] = 1;
  return orders;
}

/** Singlestep DPM-Solver: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for illegal orders, algorithms and types. */
export function dpmSinglestep(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: SinglestepOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { algorithm, order, type, noise, noiseScale, data, sde } = dpmOptions({ ...options, noise: pathOf(options.noise) });
  const orders = options.orders ?? singlestepOrders(sigmas.length - 1, order, sigmas.at(-1) === 0);
  orders.forEach((o, i) => {
    if (!(o === 1 || (o === orders[i - 1]! + 1 && o <= 3))) throw new OptionError('orders', orders.join(' '), 'runs 1, 2, …, k with k ≤ 3');
  });
  if (orders.length !== sigmas.length - 1) throw new OptionError('orders', orders.length, `${sigmas.length - 1} orders, one per interval`);
  const at = frame(denoise);
  const { alpha, lambda } = at;
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, index, history, own }) => {
    const value = data ? denoised : await own(combine([1 / sigma, x], [-alpha(sigma) / sigma, denoised]));
    const past = { sigma, value, x };
    if (sigmaNext === 0) return { next: await combine(...firstOrder(at, x, denoised, sigma, 0)), past };
    const wanted = orders[index]!;
    const run = [past, ...history].slice(0, wanted).reverse(); // oldest first: where the run began
    while (run.length > 1 && lambda(run[0]!.sigma) === -Infinity) run.shift(); // α = 0 has no log-SNR: the run begins after it
    if (!data && alpha(run[0]!.sigma) === 0) return { next: await combine(...firstOrder(at, x, denoised, sigma, sigmaNext)), past };
    const [m0, m1, m2] = run;
    const s = m0!.sigma;
    const h = lambda(sigmaNext) - lambda(s);
    const c = dpmTerms(algorithm, h, alpha(s), s, alpha(sigmaNext), sigmaNext);
    const [r1, r2] = [m1 ? (lambda(m1.sigma) - lambda(s)) / h : 1, m2 ? (lambda(m2.sigma) - lambda(s)) / h : 1];
    // Weights of the differences (m1 − m0) and (m2 − m0).
    let [w1, w2] = m1 ? [(type === 'heun' ? c.full : c.half) / r1, 0] : [0, 0];
    if (m2 && type === 'midpoint') [w1, w2] = [0, c.full / r2];
    if (m2 && type === 'heun') [w1, w2] = [(c.full * r2 - 2 * c.d2) / (r1 * (r2 - r1)), (2 * c.d2 - c.full * r1) / (r2 * (r2 - r1))];
    const terms: [number, Tensor][] = [[c.x, m0!.x!], [c.d0 - w1 - w2, m0!.value]];
    if (m1) terms.push([w1, m1.value]);
    if (m2) terms.push([w2, m2.value]);
    if (sde) terms.push([c.noise * noiseScale, await own(noise(x.shape, s, sigmaNext))]);
    return { next: await combine(...terms), past };
  };
  return loop(denoise, x, sigmas, rule, { depth: Math.max(...orders) - 1, resume: options.resume });
}
