/*
 *   m = ⌊n/3⌋ + 1 steps even in λ with DPM-Solver-3, the last one or two of lower order, so that n network calls are made in all
 *
 * DPM-Solver-fast (arXiv 2206.00927, App. D.3; k-diffusion's sample_dpm_fast). Order 3 in n; η > 0 goes down further and adds noise.
 * The grid gives the ends (its inner values are not used) and n = its number of steps. EDM, VE, VP and flow below α = 0.
 * Deviates: a grid that ends in 0 gives its last call to the step D at the end (k-diffusion stops at σ_min and leaves its noise in).
 */
import { integer, lincomb, SigmaRangeError, type Denoise, type Tensor } from '@ediffi/core';
import { dpmMiddle, dpmStep1, dpmStep2, dpmStep3, type DpmStep } from './dpm-steps.js';
import { ancestralOptions, ancestralSplit, type AncestralOptions } from './euler-ancestral.js';
import { loop } from './loop.js';
import { checkGrid, combine, frame, type Step } from './solver.js';

/** η (0 by default) and the number of network calls. */
export interface DpmFastOptions extends AncestralOptions {
  readonly calls?: number;
}

/** The ends of a grid above 0. Throws SigmaRangeError where α = 0 (log-SNR −∞), or if nothing lies between. */
export function positiveEnds(sigmas: Float64Array, alpha: (sigma: number) => number, solver: string): { top: number; bottom: number; toZero: boolean } {
  checkGrid(sigmas);
  const toZero = sigmas.at(-1) === 0;
  const [top, bottom] = [sigmas[0]!, toZero ? sigmas.at(-2)! : sigmas.at(-1)!];
  if (!(alpha(top) > 0)) throw new SigmaRangeError(`${solver}: steps are even in log-SNR, which is −∞ at σ = ${top} — start below it (0.999)`, top);
  return { top, bottom, toZero };
}

/** DPM fast: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an illegal number of calls, SigmaRangeError at α = 0. */
export function dpmFast(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DpmFastOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { eta, noiseScale, noise } = ancestralOptions({ ...options, eta: options.eta ?? 0 });
  const at = frame(denoise);
  const { top, bottom, toZero } = positiveEnds(sigmas, at.alpha, 'dpmFast');
  const calls = integer('calls', options.calls ?? sigmas.length - 1, 1) - (toZero ? 1 : 0);
  const m = calls > 0 ? Math.floor(calls / 3) + 1 : 0;
  const orders = calls === 0 ? [] : calls % 3 === 0 ? [...new Array<number>(m - 2).fill(3), 2, 1] : [...new Array<number>(m - 1).fill(3), calls % 3];
  const [from, to] = [at.lambda(top), at.lambda(bottom)];
  const grid = top === bottom ? [top] : Array.from({ length: orders.length + 1 }, (_, i) => (i === 0 ? top : i === orders.length ? bottom : at.sigmaAt(from + (i / orders.length) * (to - from))));
  if (calls === 0) grid.length = 1;
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, index, evaluate, own }) => {
    if (sigmaNext === 0) return lincomb([at.alpha(0), denoised]);
    const alphaNext = at.alpha(sigmaNext);
    const { down } = ancestralSplit(at, sigma, sigmaNext, eta);
    const lowest = eta > 0 ? Math.max(down, alphaNext * Math.exp(-to)) : sigmaNext;
    const up = Math.sqrt(Math.max(0, sigmaNext ** 2 - lowest ** 2));
    const epsilonOf = (y: Tensor, d: Tensor, s: number): Promise<Tensor> => own(lincomb([1 / s, y], [-at.alpha(s) / s, d]));
    const context = { at, own, epsilon: async (y: Tensor, s: number) => epsilonOf(y, await evaluate(y, s), s) };
    const step: DpmStep = { x, sigma, epsilon: await epsilonOf(x, denoised, sigma), alphaNext, sigmaNext: lowest };
    const order = orders[index]!;
    const r = order === 2 ? 1 / 2 : 1 / 3;
    const middle = order > 1 ? await dpmMiddle(context, step, r) : undefined;
    const next = await (middle ? (order === 2 ? dpmStep2(context, step, middle, r) : dpmStep3(context, step, middle)) : dpmStep1(context, step));
    return up === 0 ? next : combine([1, await own(next)], [up * noiseScale, await own(noise(x.shape, sigma, sigmaNext))]);
  };
  return loop(denoise, x, Float64Array.from(toZero ? [...grid, 0] : grid), rule, { resume: options.resume });
}
