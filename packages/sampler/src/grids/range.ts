import { finiteNumber, integer, OptionError } from '@ediffi/core';

/** The noise levels a grid spans, both above 0. */
export interface SigmaRange {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
}

/** Refuses what is no grid: steps < 1, σ ≤ 0, sigmaMin ≥ sigmaMax (one step may have them equal). Throws OptionError. */
export function checkRange(steps: number, { sigmaMin, sigmaMax }: SigmaRange): void {
  integer('steps', steps, 1, 100_000);
  finiteNumber('sigmaMin', sigmaMin, Number.MIN_VALUE);
  finiteNumber('sigmaMax', sigmaMax, steps === 1 ? sigmaMin : sigmaMin * (1 + 1e-12));
}

/** n values f(0) … f(1) with a final 0; the ends are set exactly, so that rounding cannot leave the model's range. */
export function ramp(steps: number, range: SigmaRange, at: (position: number) => number): Float64Array {
  checkRange(steps, range);
  const sigmas = Float64Array.from({ length: steps + 1 }, (_, i) => (i === steps ? 0 : at(steps === 1 ? 0 : i / (steps - 1))));
  sigmas[0] = range.sigmaMax;
  if (steps > 1) sigmas[steps - 1] = range.sigmaMin;
  const stuck = sigmas.findIndex((s, i) => i > 0 && !(s < sigmas[i - 1]!));
  if (stuck > 0) throw new OptionError('grid', `${sigmas[stuck - 1]} → ${sigmas[stuck]} at step ${stuck}`, 'noise levels that float64 can tell apart — use fewer steps or a ρ nearer 1');
  return sigmas;
}
