/*
 *   static shift s (SD3, arXiv 2403.03206, eq. 23):   σ ↦ s·σ/(1 + (s − 1)·σ)
 *   dynamic, exponential (FLUX):  σ ↦ e^μ/(e^μ + 1/σ − 1);   linear:  σ ↦ μ/(μ + 1/σ − 1);   μ from the number of image tokens
 *   terminal shift (LTX-Video):  1 − σ ↦ (1 − σ)·(1 − σ_end)/(1 − σ_last)
 *
 * Grids of rectified-flow models, x = (1 − σ)·x₀ + σ·n; the ramp before shifting is uniform from 1 to `last` (default 1/n), then 0.
 */
import { finiteNumber, integer, OptionError } from '@ediffi/core';
import { linspace } from '../math/arrays.js';

/** How a flow grid is shifted. Give `shift` (static) or `mu` (dynamic), not both. */
export interface FlowGridOptions {
  readonly shift?: number;
  readonly mu?: number;
  readonly type?: 'exponential' | 'linear';
  /** σ that the last step before 0 is stretched to. */
  readonly terminal?: number;
  /** The ramp's last value before shifting; 1/n by default. */
  readonly last?: number;
  /** The ramp itself, without the final 0, in place of the uniform one. */
  readonly sigmas?: readonly number[];
}

/** σ under a static shift. */
export const staticShift = (sigma: number, shift: number): number => (shift * sigma) / (1 + (shift - 1) * sigma);

/** σ under a dynamic shift μ. */
export function dynamicShift(sigma: number, mu: number, type: 'exponential' | 'linear' = 'exponential'): number {
  const m = type === 'exponential' ? Math.exp(mu) : mu;
  return m / (m + (1 / sigma - 1));
}

/** σs stretched so that the last one is `terminal`. */
export function terminalShift(sigmas: readonly number[], terminal: number): number[] {
  const scale = (1 - sigmas[sigmas.length - 1]!) / (1 - terminal);
  return sigmas.map((s) => 1 - (1 - s) / scale);
}

/** FLUX's μ for a picture of `tokens` image tokens: linear between (256, 0.5) and (4096, 1.15). */
export function muOfTokens(tokens: number, { base = 256, max = 4096, baseShift = 0.5, maxShift = 1.15 }: { readonly base?: number; readonly max?: number; readonly baseShift?: number; readonly maxShift?: number } = {}): number {
  const slope = (maxShift - baseShift) / (max - base);
  return tokens * slope + (baseShift - slope * base);
}

/** n steps of a flow model, σ from 1 down, last entry 0: n + 1 values. Throws OptionError for illegal steps, shifts or σ outside (0, 1]. */
export function flowGrid(steps: number, options: FlowGridOptions = {}): Float64Array {
  integer('steps', steps, 1, 100_000);
  if (options.shift !== undefined && options.mu !== undefined) throw new OptionError('mu', options.mu, 'either shift or mu, not both');
  if (options.sigmas && options.sigmas.length !== steps) throw new OptionError('sigmas', options.sigmas.length, `${steps} values, one per step`);
  const ramp = options.sigmas ?? linspace(1, finiteNumber('last', options.last ?? 1 / steps, Number.MIN_VALUE, 1), steps);
  ramp.forEach((s) => finiteNumber('sigmas', s, Number.MIN_VALUE, 1));
  const { mu, type = 'exponential' } = options;
  const shift = finiteNumber('shift', options.shift ?? 1, Number.MIN_VALUE);
  if (mu !== undefined) finiteNumber('mu', mu, type === 'linear' ? Number.MIN_VALUE : -50, 50);
  let out = ramp.map((s) => (mu === undefined ? staticShift(s, shift) : dynamicShift(s, mu, type)));
  if (options.terminal !== undefined && steps > 1) out = terminalShift(out, finiteNumber('terminal', options.terminal, Number.MIN_VALUE, 0.999));
  return Float64Array.of(...out, 0);
}
