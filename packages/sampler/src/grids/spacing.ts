/*
 *   leading:   i·⌊N/n⌋ + offset        linspace:   round(i·(N − 1)/(n − 1))        trailing:   round(N − i·N/n) − 1        (decreasing)
 *
 * Integer timesteps of discrete models (arXiv 2305.08891, Table 2). Rounds half to even, and trailing has one point more than n for some n
 * (61, 103, …), both as NumPy. `drop`: one more point is spaced and the last (smallest) dropped, as DPM-Solver, UniPC and DEIS in diffusers do.
 */
import { integer, OptionError } from '@ediffi/core';
import { arangeDown, linspace, roundHalfEven } from '../math/arrays.js';

/** Names of diffusers' `timestep_spacing`. */
export type Spacing = 'leading' | 'linspace' | 'trailing';

/** N = `total` (1000); `last` is the number of usable timesteps from 0 on (total by default); `whole` rounds linspace. */
export interface SpacingOptions {
  readonly total?: number;
  readonly offset?: number;
  readonly last?: number;
  readonly drop?: boolean;
  readonly whole?: boolean;
}

/** Decreasing timesteps for n steps. Throws OptionError for illegal steps or an unknown spacing. */
export function spacedTimesteps(steps: number, spacing: Spacing, options: SpacingOptions = {}): number[] {
  const { total = 1000, offset = 0, drop = false, whole = true } = options;
  const last = options.last ?? total;
  integer('steps', steps, 1, total);
  const points = drop ? steps + 1 : steps;
  if (spacing === 'trailing') return arangeDown(last, total / steps).map((t) => roundHalfEven(t) - 1);
  if (spacing !== 'leading' && spacing !== 'linspace') throw new OptionError('timestep_spacing', spacing, 'leading, linspace or trailing');
  const stride = Math.floor(last / points);
  const rising = spacing === 'leading' ? Array.from({ length: points }, (_, i) => i * stride + offset) : linspace(0, last - 1, points).map((t) => (whole ? roundHalfEven(t) : Math.fround(t)));
  return rising.slice(drop ? 1 : 0).reverse();
}

/** LCM's and TCD's timesteps: n of the `original` ones (k·i − 1, k = ⌊total/original⌋) that distillation trained, from the top. Throws OptionError. */
export function fewStepTimesteps(steps: number, options: { readonly total?: number; readonly original?: number; readonly strength?: number } = {}): number[] {
  const { total = 1000, original = 50, strength = 1 } = options;
  integer('original', original, 1, total);
  const stride = Math.floor(total / original);
  const trained = Array.from({ length: Math.floor(original * strength) }, (_, i) => (i + 1) * stride - 1).reverse();
  integer('steps', steps, 1, trained.length);
  return linspace(0, trained.length, steps, false).map((i) => trained[Math.floor(i)]!);
}
