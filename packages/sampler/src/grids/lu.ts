/*
 *   λᵢ = λ_min + i/(n−1)·(λ_max − λ_min),   σᵢ = e^(−λᵢ),   then 0
 *
 * Uniform in log-SNR, as DPM-Solver recommends (Lu et al., arXiv 2206.00927, §3.2): the exponential grid in another notation (α ≡ 1),
 * and for flow models (α = 1 − σ) uniform in ln((1 − σ)/σ).
 */
import { OptionError } from '@ediffi/core';
import { exponential } from './exponential.js';
import type { SigmaRange } from './range.js';

/** n steps uniform in λ, last entry 0: n + 1 values. `flow` for x = (1 − σ)·x₀ + σ·n. Throws OptionError for illegal steps or range. */
export function luLambda(steps: number, range: SigmaRange & { readonly flow?: boolean }): Float64Array {
  if (!range.flow) return exponential(steps, range);
  if (!(range.sigmaMax < 1)) throw new OptionError('sigmaMax', range.sigmaMax, 'below 1: log-SNR is −∞ at σ = 1');
  const odds = exponential(steps, { sigmaMin: range.sigmaMin / (1 - range.sigmaMin), sigmaMax: range.sigmaMax / (1 - range.sigmaMax) });
  return odds.map((s) => s / (1 + s));
}
