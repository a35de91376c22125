import type { Denoise, Tensor } from '@ediffi/core';
import type { Churn } from './churn.js';
import { checkGrid, type Step } from './solver.js';

/** What a rule is given: the picture at σ, its denoised version, and where to go. */
export interface StepState {
  readonly x: Tensor;
  readonly denoised: Tensor;
  readonly sigma: number;
  readonly sigmaNext: number;
  readonly index: number;
}

/** x at sigmaNext. `denoised` is the loop's: it frees it, or keeps it as history. */
export type StepRule = (state: StepState) => Promise<Tensor> | Tensor;

/**
 * The loop all solvers share: one network call at σ, the solver's rule, one yielded step. Frees what it made when the consumer
 * stops early. `history` holds `depth` earlier denoised tensors for multistep rules; `churn` stirs x before a step.
 */
export async function* loop(denoise: Denoise, start: Tensor, sigmas: Float64Array, rule: StepRule, history: { denoised: Tensor; sigma: number }[] = [], depth = 0, churn?: Churn): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas);
  let x = start;
  let done = false;
  const count = sigmas.length - 1;
  try {
    for (let index = 0; index < count; index++) {
      const sigmaNext = sigmas[index + 1]!;
      const stirred = churn ? await churn(x, sigmas[index]!) : { x, sigma: sigmas[index]! };
      if (stirred.x !== x && x !== start) x.dispose();
      x = stirred.x;
      const { sigma } = stirred;
      const denoised = await denoise(x, sigma);
      let kept = false;
      try {
        const next = await rule({ x, denoised, sigma, sigmaNext, index });
        if (x !== start) x.dispose();
        x = next;
        yield { index, count, sigma: sigmas[index]!, sigmaNext, x, denoised };
        if (depth > 0) {
          history.unshift({ denoised, sigma });
          kept = true;
          for (const old of history.splice(depth)) old.denoised.dispose();
        }
      } finally {
        if (!kept) denoised.dispose();
      }
    }
    done = true;
    return x;
  } finally {
    for (const old of history) old.denoised.dispose();
    if (!done && x !== start) x.dispose();
  }
}
