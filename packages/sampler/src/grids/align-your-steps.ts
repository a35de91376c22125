/*
 *   ln σ of the published levels, interpolated linearly to n + 1 points; the last one is replaced by 0
 *
 * Align your steps (arXiv 2404.14507, App. C and the project page's tables for 10 steps).
 */
import { integer, OptionError } from '@ediffi/core';
import { interpolate, linspace } from '../math/arrays.js';

/** The published levels, 10 steps each, in σ. */
export const alignedLevels = {
  sd1: [14.6146412293, 6.4745760956, 3.8636745985, 2.694615152, 1.8841921177, 1.3943805092, 0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582],
  sdxl: [14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582],
  svd: [700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002],
} as const;

/** The published integer timesteps for SD 1, SDXL (diffusers' AysSchedules), for solvers that take custom timesteps. */
export const alignedTimesteps = {
  sd1: [999, 850, 736, 645, 545, 455, 343, 233, 124, 24],
  sdxl: [999, 845, 730, 587, 443, 310, 193, 116, 53, 13],
} as const;

/** n steps for a model ('sd1', 'sdxl', 'svd') or for levels of one's own, last entry 0. Throws OptionError for an unknown model or illegal steps. */
export function alignYourSteps(steps: number, model: keyof typeof alignedLevels | readonly number[] = 'sd1'): Float64Array {
  integer('steps', steps, 1, 100_000);
  const levels = typeof model === 'string' ? alignedLevels[model] : model;
  if (!levels || levels.length < 2) throw new OptionError('model', model, `one of ${Object.keys(alignedLevels).join(', ')}, or at least two levels`);
  const logs = [...levels].map(Math.log);
  const values = linspace(0, 1, steps + 1).map((u) => Math.exp(interpolate(logs, u * (logs.length - 1))));
  values[steps] = 0;
  return Float64Array.from(values);
}
