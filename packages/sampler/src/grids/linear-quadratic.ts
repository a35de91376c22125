/*
 *   1 − σ/σ_max: linear up to `threshold` in the first ⌊n/2⌋ steps, then quadratic to 1, with equal slopes where they meet
 *
 * The linear-quadratic grid of Mochi 1 and Movie Gen (arXiv 2410.13720, §3.4.2), as the common node UI scales it to any σ_max; ends in 0.
 */
import { finiteNumber, integer } from '@ediffi/core';

/** n steps from sigmaMax to 0: n + 1 values. `linearSteps` ⌊n/2⌋, threshold 0.025. Throws OptionError for illegal steps or thresholds. */
export function linearQuadratic(steps: number, range: { readonly sigmaMax: number; readonly threshold?: number; readonly linearSteps?: number }): Float64Array {
  integer('steps', steps, 1, 100_000);
  const top = finiteNumber('sigmaMax', range.sigmaMax, Number.MIN_VALUE);
  if (steps === 1) return Float64Array.of(top, 0);
  const threshold = finiteNumber('threshold', range.threshold ?? 0.025, Number.MIN_VALUE, 0.5);
  const linear = integer('linearSteps', range.linearSteps ?? Math.floor(steps / 2), 1, steps - 1);
  const quadratic = steps - linear;
  const difference = linear - threshold * steps;
  const a = difference / (linear * quadratic ** 2);
  const b = threshold / linear - (2 * difference) / quadratic ** 2;
  const c = a * linear ** 2;
  return Float64Array.from({ length: steps + 1 }, (_, i) => (i === steps ? 0 : (1 - (i < linear ? (i * threshold) / linear : a * i * i + b * i + c)) * top));
}
