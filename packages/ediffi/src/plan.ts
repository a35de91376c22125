import { float32, type Denoise } from '@ediffi/core';
import type { StageRun } from './resolve.js';

/**
 * A solver's steps and the σ of its network calls, in order: the solver itself is run on one number instead of a picture, so they are right for every
 * solver, with as many calls per step as it makes, each at its own σ, and with the steps that it inserts (restart).
 */
async function rehearsed(run: StageRun): Promise<{ steps: number; sigmas: number[] }> {
  const sigmas: number[] = [];
  const note: Denoise = (x, sigma) => {
    sigmas.push(sigma);
    return Promise.resolve(float32([0], x.shape));
  };
  const one = float32([0], [1]);
  const steps = run.solve(Object.assign(note, { alpha: run.alpha }), one, { noise: () => float32([0], [1]) });
  let count = 0;
  while (!(await steps.next()).done) count++;
  return { steps: count, sigmas };
}

/** The σ of every network call, in order. */
export const callSigmas = async (run: StageRun): Promise<number[]> => (await rehearsed(run)).sigmas;

/** What a stage will do. */
export interface RunPlan {
  /** Steps that the solver yields. */
  readonly steps: number;
  /** Network calls per expert, in order of use. */
  readonly experts: readonly { readonly name: string; readonly calls: number }[];
}

export async function planRun(run: StageRun): Promise<RunPlan> {
  const calls = new Map<string, number>();
  const { steps, sigmas } = await rehearsed(run);
  for (const sigma of sigmas) {
    const name = run.expertAt(sigma);
    calls.set(name, (calls.get(name) ?? 0) + 1);
  }
  return { steps, experts: [...calls].map(([name, number]) => ({ name, calls: number })) };
}

/** Network calls per expert, in order of use. */
export const planCalls = async (run: StageRun): Promise<RunPlan['experts']> => (await planRun(run)).experts;
