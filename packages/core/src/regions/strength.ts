/*
 * How strongly painted words pull, as a function of the noise level (eDiff-I §4.3, arXiv 2211.01324):
 *
 *   w = w′·log(1 + σ)·max(QKᵀ)        'log', the paper's: strong while the layout forms, gone when details do
 *   w = w′·log(1 + σ²)·…              'log-squared' (cloneofsimo/paint-with-words-sd): steeper at high noise
 *
 * max(QKᵀ) (or std) is taken inside the graph, per picture and head.
 */
import { finiteNumber, sigmaWindow } from '../errors/check.js';
import { OptionError } from '../errors/errors.js';

/** Growth of the strength with σ. */
export type StrengthRule = 'log' | 'log-squared';

/** Options of regionStrength. */
export interface StrengthOptions {
  /** w′ (default 0.4), or the whole function of σ. */
  readonly strength?: number | ((sigma: number) => number);
  readonly rule?: StrengthRule;
  /** σ range (from, to] in which the regions act. */
  readonly window?: { readonly from?: number; readonly to?: number };
}

/** Strength as a function of σ, without the factor max(QKᵀ). Throws OptionError for a w′ that is no finite number. */
export function regionStrength(options: StrengthOptions = {}): (sigma: number) => number {
  const { strength = 0.4, rule = 'log' } = options;
  const { from, to } = sigmaWindow('paint window', options.window);
  if (typeof strength === 'number') finiteNumber('paint strength', strength);
  if (rule !== 'log' && rule !== 'log-squared') throw new OptionError('paint rule', rule, "'log' or 'log-squared'");
  return (sigma) => {
    if (sigma <= from || sigma > to) return 0;
    if (typeof strength === 'function') return finiteNumber('paint strength', strength(sigma));
    return strength * Math.log1p(rule === 'log' ? sigma : sigma * sigma);
  };
}
