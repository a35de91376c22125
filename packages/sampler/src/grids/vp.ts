/*
 *   σ(t) = √(exp(β_d·t²/2 + β_min·t) − 1),   t = 1 … ε uniform,   then 0
 *
 * The continuous VP schedule (arXiv 2011.13456, App. C; arXiv 2206.00364, Table 1), k-diffusion's get_sigmas_vp.
 */
import { finiteNumber, integer } from '@ediffi/core';
import { linspace } from '../math/arrays.js';

/** Options of the VP grid: β_d = 19.9, β_min = 0.1, ε = 1e−3. */
export interface VpOptions {
  readonly betaD?: number;
  readonly betaMin?: number;
  readonly epsilon?: number;
}

/** n steps, decreasing, last entry 0: n + 1 values. Throws OptionError for illegal steps or betas. */
export function vp(steps: number, options: VpOptions = {}): Float64Array {
  integer('steps', steps, 1, 100_000);
  const d = finiteNumber('betaD', options.betaD ?? 19.9, 0);
  const min = finiteNumber('betaMin', options.betaMin ?? 0.1, Number.MIN_VALUE);
  const epsilon = finiteNumber('epsilon', options.epsilon ?? 1e-3, Number.MIN_VALUE, 0.999);
  return Float64Array.of(...linspace(1, epsilon, steps).map((t) => Math.sqrt(Math.expm1((d * t * t) / 2 + min * t))), 0);
}
