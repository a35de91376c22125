import type { Denoise, Tensor } from '@ediffi/core';
import { checkGrid, type Step } from './solver.js';

/** What a rule is given: the picture at σ, its denoised version, and where to go. */
export interface StepState {
  readonly x: Tensor;
  readonly denoised: Tensor;
  readonly sigma: number;
  readonly sigmaNext: number;
  readonly index: number;
}

/** One step's result; `keep` tells the loop that the rule took over `denoised` (multistep history) and frees it itself. */
export type StepRule = (state: StepState) => Promise<Tensor> | Tensor;

/**
 * The loop all solvers share: one network call at σ, the solver's rule, one yielded step. Frees what it made when the consumer
 * stops early. `history` holds that many earlier denoised tensors for multistep rules.
 */
export async function* loop(denoise: Denoise, start: Tensor, sigmas: Float64Array, rule: StepRule, history: { denoised: Tensor; sigma: number }[] = [], depth = 0): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas);
  let x = start;
  let done = false;
  const count = sigmas.length - 1;
  try {
    for (let index = 0; index < count; index++) {
      const [sigma, sigmaNext] = [sigmas[index]!, sigmas[index + 1]!];
      const denoised = await denoise(x, sigma);
      let kept = false;
      try {
        const next = await rule({ x, denoised, sigma, sigmaNext, index });
        if (x !== start) x.dispose();
        x = next;
        yield { index, count, sigma, sigmaNext, x, denoised };
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
