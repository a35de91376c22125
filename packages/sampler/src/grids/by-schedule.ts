/*
 * Grids on a model's own table of σ (ascending, N entries), as the common node UI defines them (golden/README.md, `ui_*`):
 *
 *   simple          σ[N − 1 − ⌊i·(N/n)⌋], rounded as there: N/n first
 *   normal          σ(t), t uniform from t(σ_max) to t(σ_min), both included        sgm uniform     the same without the last t
 *   ddim uniform    every ⌊N/n⌋-th entry from the second on (may give n + 1 steps)
 *   beta            σ[round((N − 1)·Q(1 − i/n))], Q the quantile of Beta(0.6, 0.6) (arXiv 2407.12173); equal neighbours are one
 *
 * All end with 0.
 */
import { finiteNumber, integer } from '@ediffi/core';
import { linspace, linspace32, roundHalfEven } from '../math/arrays.js';
import { betaQuantile } from '../math/beta-quantile.js';
import type { Schedule } from '../schedules/table.js';

/** n steps that skip evenly through the table: n + 1 values. Throws OptionError for illegal steps. */
export function simple(steps: number, { sigmas }: Schedule): Float64Array {
  integer('steps', steps, 1, sigmas.length);
  return Float64Array.from({ length: steps + 1 }, (_, i) => (i === steps ? 0 : sigmas[sigmas.length - 1 - Math.floor(i * (sigmas.length / steps))]!));
}

function nearestTime({ sigmas, timestep }: Schedule, sigma: number): number {
  const t = timestep(sigma);
  return sigmas[Math.round(t)] === sigma ? Math.round(t) : t;
}

/** n steps uniform in the model's time, both ends included: n + 1 values. Throws OptionError for illegal steps. */
export function normal(steps: number, schedule: Schedule): Float64Array {
  integer('steps', steps, 1, 100_000);
  const [from, to] = [nearestTime(schedule, schedule.sigmaMax), nearestTime(schedule, schedule.sigmaMin)];
  return Float64Array.from([...linspace32(from, to, steps)].map((t) => schedule.sigma(t)).concat(0));
}

/** n steps uniform in the model's time, the last time left out: n + 1 values. Throws OptionError for illegal steps. */
export function sgmUniform(steps: number, schedule: Schedule): Float64Array {
  integer('steps', steps, 1, 100_000);
  const [from, to] = [nearestTime(schedule, schedule.sigmaMax), nearestTime(schedule, schedule.sigmaMin)];
  return Float64Array.from([...linspace32(from, to, steps + 1)].slice(0, -1).map((t) => schedule.sigma(t)).concat(0));
}

/** Every ⌊N/n⌋-th entry of the table from the second on, downwards, then 0. Throws OptionError for illegal steps. */
export function ddimUniform(steps: number, { sigmas }: Schedule): Float64Array {
  integer('steps', steps, 1, sigmas.length);
  const stride = Math.max(Math.floor(sigmas.length / steps), 1);
  const rising = [0];
  for (let i = 1; i < sigmas.length; i += stride) rising.push(sigmas[i]!);
  return Float64Array.from(rising.reverse());
}

/** Table entries at quantiles of a beta distribution, then 0; at most n + 1 values. Throws OptionError for illegal steps or shapes. */
export function beta(steps: number, { sigmas }: Schedule, options: { readonly alpha?: number; readonly beta?: number } = {}): Float64Array {
  integer('steps', steps, 1, 100_000);
  const [a, b] = [finiteNumber('alpha', options.alpha ?? 0.6, 0.01, 100), finiteNumber('beta', options.beta ?? 0.6, 0.01, 100)];
  const indices = linspace(0, 1, steps, false).map((u) => roundHalfEven(betaQuantile(1 - u, a, b) * (sigmas.length - 1)));
  return Float64Array.from([...indices.filter((t, i) => t !== indices[i - 1]).map((t) => sigmas[t]!), 0]);
}
