/*
 *   Heun down the grid; each time it has reached t_min of an interval [t_min, t_max], K times:
 *   x ← (α_max/α_min)·x + √(σ_max² − (α_max·σ_min/α_min)²)·n, then Heun on N steps of the karras grid from t_max back to t_min
 *
 * Restart sampling (arXiv 2306.14878, Alg. 1 and 3). Two network calls per step; stochastic; order 2 between restarts. EDM, VE and flow.
 * Deviates: an interval's t_min is moved to the nearest grid point, as the authors' code does.
 */
import { finiteNumber, integer, OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { karras } from '../grids/karras.js';
import { heun } from './heun.js';
import { combine, checkGrid, frame, requireIndependent, requireLinear, seededNoise, type NoisyOptions, type Step } from './solver.js';

/** One restart interval in σ: how often, and with how many steps. */
export interface RestartInterval {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly times: number;
  readonly steps: number;
}

/** The restart intervals; the paper's for ImageNet 64 by default ([0.05, 0.3], 4 times, 3 steps). */
export interface RestartOptions extends NoisyOptions {
  readonly intervals?: readonly RestartInterval[];
}

/** Restart sampling: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an empty interval, CapabilityError for a VP model. */
export async function* restart(denoise: Denoise, start: Tensor, sigmas: Float64Array, options: RestartOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0), noiseScale = 1, intervals = [{ sigmaMin: 0.05, sigmaMax: 0.3, times: 4, steps: 3 }] } = options;
  checkGrid(sigmas);
  requireLinear(denoise, 'restart');
  requireIndependent(noise, 'restart');
  const { alpha } = frame(denoise);
  const nearestIndex = (s: number): number => sigmas.reduce((best, v, i) => (v > 0 && i > 0 && Math.abs(v - s) < Math.abs(sigmas[best]! - s) ? i : best), 1);
  const loops: { readonly grid: Float64Array; readonly before?: { from: number; to: number } }[] = [];
  let done = 0;
  const planned = intervals.map(({ sigmaMin, sigmaMax, times, steps }) => {
    integer('restart.times', times, 0);
    finiteNumber('restart.sigmaMin', sigmaMin, Number.MIN_VALUE);
    if (!(sigmaMax > sigmaMin)) throw new OptionError('restart.sigmaMax', sigmaMax, `above sigmaMin = ${sigmaMin}`);
    return { at: nearestIndex(sigmaMin), sigmaMax, times, steps: integer('restart.steps', steps, 1) };
  });
  for (const { at, sigmaMax, times, steps } of planned.filter((p) => sigmas[p.at]! > 0 && sigmas[p.at]! < p.sigmaMax).sort((a, b) => a.at - b.at)) {
    if (at > done) loops.push({ grid: sigmas.subarray(done, at + 1) });
    done = Math.max(done, at);
    const again = steps === 1 ? Float64Array.of(sigmaMax, sigmas[at]!) : karras(steps + 1, { sigmaMin: sigmas[at]!, sigmaMax }).subarray(0, steps + 1);
    for (let k = 0; k < times; k++) loops.push({ grid: again, before: { from: sigmas[at]!, to: sigmaMax } });
  }
  if (done < sigmas.length - 1) loops.push({ grid: sigmas.subarray(done) });
  const count = loops.reduce((sum, { grid }) => sum + grid.length - 1, 0);
  const from = options.resume ? integer('resume.index', options.resume.index, 0, count - 1) : 0;
  let [x, index, first, finished] = [start, from, 0, false];
  const move = (next: Tensor): void => {
    if (x !== start) x.dispose();
    x = next;
  };
  try {
    for (const { grid, before } of loops) {
      const skipped = Math.max(0, from - first); // of this loop's steps, by a run that goes on
      first += grid.length - 1;
      if (first <= from) continue;
      if (before && skipped === 0) {
        const ratio = alpha(before.to) / alpha(before.from);
        const n = await noise(x.shape, before.to, before.from);
        move(await combine([ratio, x], [noiseScale * Math.sqrt(before.to ** 2 - (ratio * before.from) ** 2), n]));
        n.dispose();
      }
      const inner = heun(denoise, x, grid, { resume: { index: skipped } });
      let open = true;
      try {
        for (let step = await inner.next(); open; step = open ? await inner.next() : step) {
          if (step.done) {
            open = false;
            move(step.value);
          } else yield { ...step.value, index: index++, count };
        }
      } finally {
        if (open) await inner.return(x);
      }
    }
    finished = true;
    return x;
  } finally {
    if (!finished && x !== start) x.dispose();
  }
}
