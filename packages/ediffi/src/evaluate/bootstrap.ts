/*
 * Percentile bootstrap (Efron 1979): the statistic of samples drawn anew with replacement; the interval holds the middle share of them.
 */
import { finiteNumber, Generator, integer } from '@ediffi/core';

/** Options of bootstrap: 1000 draws, 95 %, seed 0. */
export interface BootstrapOptions {
  readonly draws?: number;
  readonly confidence?: number;
  readonly seed?: number;
}

/** A statistic with its confidence interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** `statistic` is given row numbers 0 … count − 1, some of them several times. Throws OptionError for a confidence outside (0, 1). */
export function bootstrap(count: number, statistic: (rows: readonly number[]) => number, options: BootstrapOptions = {}): Estimate {
  const rows = integer('sample count', count, 1);
  const draws = integer('bootstrap draws', options.draws ?? 1000, 2);
  const confidence = finiteNumber('confidence', options.confidence ?? 0.95, Number.MIN_VALUE, 1 - Number.EPSILON);
  const generator = new Generator(options.seed ?? 0);
  const values = Array.from({ length: draws }, () => statistic(Array.from({ length: rows }, () => generator.integer(0, rows)))).sort((a, b) => a - b);
  const at = (share: number): number => values[Math.min(draws - 1, Math.max(0, Math.round(share * (draws - 1))))]!;
  return { value: statistic(Array.from({ length: rows }, (_, i) => i)), low: at((1 - confidence) / 2), high: at((1 + confidence) / 2) };
}
