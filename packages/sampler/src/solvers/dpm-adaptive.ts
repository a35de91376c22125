/*
 *   error = ‖(x_low − x_high)/max(atol, rtol·max(|x_low|, |x_prev|))‖/√N;  accept if the PID factor ≥ 0.81;  h ← h·(1 + atan(factor − 1))
 *
 * DPM-Solver-12 or -23 with adaptive steps in λ (arXiv 2206.00927, App. C.3 and Alg. 3) under k-diffusion's PID controller
 * (sample_dpm_adaptive). The grid gives the ends; `count` of a step is unknown (Infinity). Reads the error back to the host every step.
 * `order` calls per step; order 2 or 3. EDM, VE, VP and flow below α = 0.
 * Deviates: a grid that ends in 0 gets one more call and step to D (k-diffusion stops at σ_min).
 */
import { finiteNumber, floats, integer, lincomb, OptionError, type Denoise, type MaybePromise, type Tensor } from '@ediffi/core';
import { positiveEnds } from './dpm-fast.js';
import { dpmMiddle, dpmStep1, dpmStep2, dpmStep3, type DpmStep } from './dpm-steps.js';
import { ancestralOptions, ancestralSplit, type AncestralOptions } from './euler-ancestral.js';
import { combine, frame, type Past, type Resume, type Step } from './solver.js';

/** Order, tolerances and controller, as in k-diffusion; η = 0 by default. */
export interface DpmAdaptiveOptions extends AncestralOptions {
  readonly order?: number;
  readonly rtol?: number;
  readonly atol?: number;
  readonly firstStep?: number;
  readonly proportional?: number;
  readonly integral?: number;
  readonly derivative?: number;
  readonly acceptSafety?: number;
}

async function errorOf(low: Tensor, high: Tensor, previous: Tensor, atol: number, rtol: number): Promise<number> {
  const [l, h, p] = await Promise.all([floats(low), floats(high), floats(previous)]);
  return Math.sqrt(l.reduce((sum, v, i) => sum + ((v - h[i]!) / Math.max(atol, rtol * Math.max(Math.abs(v), Math.abs(p[i]!)))) ** 2, 0) / l.length);
}

/** The controller between two steps: the lower-order picture that the next error is measured against, and its numbers. */
interface Controller {
  readonly sigma: number;
  readonly previous: Tensor;
  readonly lambda: number;
  readonly h: number;
  readonly memory: readonly [number, number, number];
}

const remembered = ({ sigma, previous, lambda, h, memory }: Controller): Past => ({ sigma, value: previous, numbers: [lambda, h, ...memory] });

function resumed({ index, history }: Resume): Controller | undefined {
  if (integer('resume.index', index, 0) === 0) return undefined;
  const [past] = history ?? [];
  if (past?.numbers?.length !== 5) throw new OptionError('resume.history', past?.numbers, 'what `checkpoint` saved of a step of dpmAdaptive before the last');
  const [lambda, h, ...memory] = past.numbers as [number, number, number, number, number];
  return { sigma: past.sigma, previous: past.value, lambda, h, memory };
}

/** DPM adaptive: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for illegal options, SigmaRangeError at α = 0. */
export async function* dpmAdaptive(denoise: Denoise, start: Tensor, sigmas: Float64Array, options: DpmAdaptiveOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { eta, noiseScale, noise } = ancestralOptions({ ...options, eta: options.eta ?? 0 });
  const order = integer('order', options.order ?? 3, 2, 3);
  const [rtol, atol] = [finiteNumber('rtol', options.rtol ?? 0.05, 0), finiteNumber('atol', options.atol ?? 0.0078, Number.MIN_VALUE)];
  const { proportional: p = 0, integral: i = 1, derivative: d = 0, acceptSafety = 0.81 } = options;
  const firstStep = finiteNumber('firstStep', options.firstStep ?? 0.05, Number.MIN_VALUE);
  const at = frame(denoise);
  const { top, bottom, toZero } = positiveEnds(sigmas, at.alpha, 'dpmAdaptive');
  const end = at.lambda(bottom);
  const scale = eta > 0 ? 1.5 : order;
  const [b1, b2, b3] = [(p + i + d) / scale, -(p + 2 * d) / scale, d / scale];
  const saved = options.resume && resumed(options.resume);
  if (saved && !toZero && saved.lambda >= end - 1e-5) throw new OptionError('resume.index', options.resume?.index, 'a step before the end of the run, which the checkpoint is');
  const owned = new Set<Tensor>();
  const own = async (tensor: MaybePromise<Tensor>): Promise<Tensor> => (await tensor, owned.add(await tensor), tensor);
  const free = (...needed: Tensor[]): void => owned.forEach((t) => needed.includes(t) || (owned.delete(t), t.dispose()));
  let [x, previous, lambda, index, h, memory] = [start, saved?.previous ?? start, saved?.lambda ?? at.lambda(top), options.resume?.index ?? 0, saved?.h ?? firstStep, saved?.memory];
  const epsilon = async (y: Tensor, s: number, known?: Tensor): Promise<Tensor> => own(lincomb([1 / s, y], [-at.alpha(s) / s, known ?? (await own(denoise(y, s)))]));
  const context = { at, own, epsilon: (y: Tensor, s: number) => epsilon(y, s) };
  try {
    for (let sigma = saved?.sigma ?? top; lambda < end - 1e-5; ) {
      const next = Math.min(end, lambda + h);
      const sigmaNext = next === end ? bottom : at.sigmaAt(next);
      const alphaNext = at.alpha(sigmaNext);
      const lowest = eta > 0 ? Math.max(ancestralSplit(at, sigma, sigmaNext, eta).down, alphaNext * Math.exp(-end)) : sigmaNext;
      const denoised = await own(denoise(x, sigma));
      const step: DpmStep = { x, sigma, epsilon: await epsilon(x, sigma, denoised), alphaNext, sigmaNext: lowest };
      const middle = await dpmMiddle(context, step, order === 2 ? 1 / 2 : 1 / 3);
      const low = await own(order === 2 ? dpmStep1(context, step) : dpmStep2(context, step, middle, 1 / 3));
      const high = await own(order === 2 ? dpmStep2(context, step, middle, 1 / 2) : dpmStep3(context, step, middle));
      const inverse = 1 / ((await errorOf(low, high, previous, atol, rtol)) + 1e-8);
      memory = memory ? [inverse, memory[1], memory[2]] : [inverse, inverse, inverse];
      const factor = 1 + Math.atan(memory[0] ** b1 * memory[1] ** b2 * memory[2] ** b3 - 1);
      h *= factor;
      if (factor >= acceptSafety) {
        memory = [memory[0], memory[0], memory[1]];
        previous = low;
        const up = Math.sqrt(Math.max(0, sigmaNext ** 2 - lowest ** 2));
        x = up > 0 ? await own(combine([1, high], [up * noiseScale, await own(noise(x.shape, sigma, sigmaNext))])) : high;
        yield { index: index++, count: Infinity, sigma, sigmaNext, x, denoised, history: [remembered({ sigma: sigmaNext, previous, lambda: next, h, memory })] };
        [sigma, lambda] = [sigmaNext, next];
      }
      free(x, previous);
    }
    if (toZero) {
      const denoised = await own(denoise(x, bottom));
      x = await own(lincomb([at.alpha(0), denoised]));
      yield { index, count: index + 1, sigma: bottom, sigmaNext: 0, x, denoised };
    }
    owned.delete(x);
    return x;
  } finally {
    free();
  }
}
