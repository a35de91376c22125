/*
 *   γ = min(S_churn/n, √2 − 1) while σ ∈ [S_min, S_max], else 0;   σ̂ = σ·(1 + γ);   x̂ = x + √(σ̂² − σ²)·S_noise·n
 *
 * EDM's Algorithm 2 (arXiv 2206.00364): noise is added before a step. Only for α ≡ 1.
 * Deviates: draws noise only where γ > 0 (k-diffusion draws always), because the draws should not depend on unused options.
 */
import { CapabilityError, finiteNumber, lincomb, OptionError, type Denoise } from '@ediffi/core';
import type { LoopOptions } from './loop.js';
import { requireIndependent, type NoisyOptions } from './solver.js';

/** Churn of EDM's Algorithm 2; 0 by default. Above 0 it needs `noise`. */
export interface ChurnOptions extends NoisyOptions {
  readonly churn?: number;
  /** Lowest and highest σ that is stirred. */
  readonly churnMin?: number;
  readonly churnMax?: number;
}

/** γ of Algorithm 2 at σ. */
export function churnAt({ churn = 0, churnMin = 0, churnMax = Infinity }: ChurnOptions, sigma: number, count: number): number {
  return sigma >= churnMin && sigma <= churnMax ? Math.min(churn / count, Math.SQRT2 - 1) : 0;
}

/** The loop's stir for these options. Throws OptionError for a negative churn or no noise, CapabilityError for α ≢ 1. */
export function stirring(denoise: Denoise, solver: string, options: ChurnOptions): Pick<LoopOptions, 'stir'> {
  const { noise } = options;
  const churn = finiteNumber('churn', options.churn ?? 0, 0);
  const scale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  if (churn === 0) return {};
  if (denoise.alpha && denoise.alpha(0.5) !== 1) throw new CapabilityError('churn', `${solver}: churn adds noise to x = x₀ + σ·n and needs α ≡ 1 — leave churn at 0, or use eulerAncestral`);
  if (!noise) throw new OptionError('noise', undefined, 'a source of noise, for example seededNoise(seed), because churn is above 0');
  requireIndependent(noise, `${solver} with churn`);
  return {
    async stir(x, sigma, count) {
      const gamma = churnAt(options, sigma, count);
      if (gamma === 0) return undefined;
      const higher = sigma * (1 + gamma);
      const n = await noise(x.shape, higher, sigma);
      const stirred = await lincomb([1, x], [scale * Math.sqrt(higher ** 2 - sigma ** 2), n]);
      n.dispose();
      return { x: stirred, sigma: higher };
    },
  };
}
