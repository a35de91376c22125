import { integer, type Denoise, type MaybePromise, type Tensor } from '@ediffi/core';
import { checkGrid, type Past, type Resume, type Step } from './solver.js';

/** What a rule is given: the picture at σ, its denoised version, where to go, and the memory (newest first). */
export interface StepState {
  readonly x: Tensor;
  readonly denoised: Tensor;
  readonly sigma: number;
  readonly sigmaNext: number;
  readonly index: number;
  readonly count: number;
  readonly history: readonly Past[];
  /** A further network call; the loop frees the answer. */
  evaluate(x: Tensor, sigma: number): Promise<Tensor>;
  /** Hands an intermediate to the loop, which frees it after the step. */
  own<T extends Tensor>(tensor: MaybePromise<T>): Promise<T>;
}

/** The next picture, and what to remember of this step instead of { sigma, value: denoised }. */
export type StepRule = (state: StepState) => MaybePromise<Tensor | { readonly next: Tensor; readonly past: Past }>;

/** How many entries a solver remembers, what happens before the call, and where to go on. */
export interface LoopOptions {
  readonly depth?: number;
  readonly rising?: boolean;
  /** The last σ may stand twice: a call that only corrects. */
  readonly repeatLast?: boolean;
  readonly resume?: Resume | undefined;
  readonly planned?: number | undefined;
  /** Changes x and σ before the network call (churn). */
  readonly stir?: (x: Tensor, sigma: number, count: number) => MaybePromise<{ readonly x: Tensor; readonly sigma: number } | undefined>;
}

const tensorsOf = (history: readonly Past[]): Tensor[] => history.flatMap(({ value, x, noise }) => [value, ...(x ? [x] : []), ...(noise ? [noise] : [])]);

/**
 * The loop all fixed-grid solvers share: one network call at σ, the solver's rule, one yielded step. It owns every tensor that was
 * made on the way and frees what nobody needs any more, also when the consumer stops early or the network throws.
 */
export async function* loop(denoise: Denoise, start: Tensor, sigmas: Float64Array, rule: StepRule, options: LoopOptions = {}): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas, options.rising, options.repeatLast);
  const { depth = 0 } = options;
  const count = sigmas.length - 1;
  const from = options.resume ? integer('resume.index', options.resume.index, 0, count - 1) : 0;
  let history: readonly Past[] = options.resume?.history?.slice(0, depth) ?? [];
  let x = start;
  const owned = new Set<Tensor>();
  const own = async <T extends Tensor>(tensor: MaybePromise<T>): Promise<T> => {
    const value = await tensor;
    owned.add(value);
    return value;
  };
  const free = (...needed: Tensor[]): void => owned.forEach((t) => needed.includes(t) || (owned.delete(t), t.dispose()));
  const evaluate = (y: Tensor, s: number): Promise<Tensor> => own(denoise(y, s));
  try {
    for (let index = from; index < count; index++) {
      const [base, sigmaNext] = [sigmas[index]!, sigmas[index + 1]!];
      const stirred = await options.stir?.(x, base, count);
      if (stirred) await own(stirred.x);
      const [now, sigma] = stirred ? [stirred.x, stirred.sigma] : [x, base];
      const denoised = await evaluate(now, sigma);
      const result = await rule({ x: now, denoised, sigma, sigmaNext, index, count: options.planned ?? count, history, evaluate, own });
      const { next, past } = 'next' in result ? result : { next: result, past: { sigma, value: denoised } };
      x = await own(next);
      if (depth > 0) {
        history = [past, ...history].slice(0, depth);
        for (const t of tensorsOf([past])) if (t !== start) owned.add(t);
      }
      const kept = tensorsOf(history);
      free(x, denoised, ...kept);
      yield { index, count, sigma: base, sigmaNext, x, denoised, history };
      free(x, ...kept);
    }
    owned.delete(x);
    return x;
  } finally {
    free();
  }
}
