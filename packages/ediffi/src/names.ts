import { nearest, OptionError } from '@ediffi/core';
import {
  ddim, ddpm, deis, deisRk, dpm2, dpm2Ancestral, dpmpp2m, dpmpp2sAncestral, euler, eulerAncestral, exponential, heun, ipndm, karras, klOptimal, linear, lms, luLambda, polyexponential, restart, saSolver, unipc,
  type SigmaRange, type Solver,
} from '@ediffi/sampler';

/** A rule that spreads noise levels over a range: steps → decreasing σ with a final 0. */
export type Grid = (steps: number, range: SigmaRange) => Float64Array;

/** Solvers by the names that options and the command line take. Any other of @ediffi/sampler can be given as a function; the SDE ones are given a Brownian path per picture. */
export const solvers: Readonly<Record<string, Solver>> = { euler, heun, eulerAncestral, dpm2, dpm2Ancestral, lms, dpmpp2m, dpmpp2sAncestral, deisRk, deis, unipc, ipndm, ddim, ddpm, saSolver, restart };

/** Grids by name. */
export const grids: Readonly<Record<string, Grid>> = { karras, exponential, linear, polyexponential, klOptimal, luLambda };

const plain = (name: string): string => name.replace(/[^a-z0-9]/gi, '').toLowerCase();

/** The entry called `name` ('euler-ancestral' is 'eulerAncestral'), or the value itself. Throws OptionError naming the nearest. */
export function named<T extends object>(option: string, value: string | T, known: Readonly<Record<string, T>>): { readonly name: string; readonly value: T } {
  if (typeof value !== 'string') {
    if (typeof value !== 'function') throw new OptionError(option, value, `a function or one of ${Object.keys(known).join(', ')}`);
    return { name: Object.entries(known).find(([, entry]) => entry === value)?.[0] ?? ((value as { name?: string }).name || 'custom'), value };
  }
  const key = Object.keys(known).find((name) => plain(name) === plain(value));
  if (key === undefined) throw new OptionError(option, value, `one of ${Object.keys(known).join(', ')} — nearest: ${nearest(value, Object.keys(known), 1).join('')}`);
  return { name: key, value: known[key]! };
}
