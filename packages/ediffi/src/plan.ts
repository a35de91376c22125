import { float32, type Denoise } from '@ediffi/core';
import type { StageRun } from './resolve.js';

/**
 * The σ of every network call, in order: the solver itself is run on one number instead of a picture, so they are right for every
 * solver, with as many calls per step as it makes, each at its own σ.
 */
export async function callSigmas(run: StageRun): Promise<number[]> {
  const sigmas: number[] = [];
  const note: Denoise = (x, sigma) => {
    sigmas.push(sigma);
    return Promise.resolve(float32([0], x.shape));
  };
  const one = float32([0], [1]);
  const steps = run.solve(Object.assign(note, { alpha: run.alpha }), one, { noise: () => float32([0], [1]) });
  while (!(await steps.next()).done);
  return sigmas;
}

/** Network calls per expert, in order of use. */
export async function planCalls(run: StageRun): Promise<{ name: string; calls: number }[]> {
  const calls = new Map<string, number>();
  for (const sigma of await callSigmas(run)) {
    const name = run.expertAt(sigma);
    calls.set(name, (calls.get(name) ?? 0) + 1);
  }
  return [...calls].map(([name, number]) => ({ name, calls: number }));
}
