import { float32, type Denoise } from '@ediffi/core';
import type { StageRun } from './resolve.js';
import { expertAt, isUpsampler } from './stage.js';

/**
 * Network calls per expert, in order of use: the solver itself is run on one number instead of a picture, so the count is right
 * for every solver, with as many calls per step as it makes, each at its own σ.
 */
export async function planCalls(run: StageRun): Promise<{ name: string; calls: number }[]> {
  const calls = new Map<string, number>();
  const unit = isUpsampler(run.stage) ? run.stage.residualScale : 1;
  const count: Denoise = (x, sigma) => {
    const name = expertAt(run.stage, sigma / unit);
    calls.set(name, (calls.get(name) ?? 0) + 1);
    return Promise.resolve(float32([0], x.shape));
  };
  const one = float32([0], [1]);
  const steps = run.solver(Object.assign(count, { alpha: () => 1 }), one, run.sigmas, { noise: () => float32([0], [1]) });
  while (!(await steps.next()).done);
  return [...calls].map(([name, number]) => ({ name, calls: number }));
}
