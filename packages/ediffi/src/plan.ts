import { float32, type Denoise } from '@ediffi/core';
import type { StageRun } from './resolve.js';

/**
 * Network calls per expert, in order of use: the solver itself is run on one number instead of a picture, so the count is right
 * for every solver, with as many calls per step as it makes, each at its own σ.
 */
export async function planCalls(run: StageRun): Promise<{ name: string; calls: number }[]> {
  const calls = new Map<string, number>();
  const count: Denoise = (x, sigma) => {
    const name = run.expertAt(sigma);
    calls.set(name, (calls.get(name) ?? 0) + 1);
    return Promise.resolve(float32([0], x.shape));
  };
  const one = float32([0], [1]);
  const steps = run.solve(Object.assign(count, { alpha: run.alpha }), one, { noise: () => float32([0], [1]) });
  while (!(await steps.next()).done);
  return [...calls].map(([name, number]) => ({ name, calls: number }));
}
