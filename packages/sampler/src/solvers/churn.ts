/*
 *   γ = min(S_churn/n, √2 − 1) while σ ∈ [S_min, S_max], else 0;   σ̂ = σ·(1 + γ);   x̂ = x + S_noise·√(σ̂² − σ²)·n
 *
 * EDM's stochastic churn, Algorithm 2 (arXiv 2206.00364): noise added before a step of a deterministic solver. Only for α ≡ 1.
 * Deviates: draws noise only where γ > 0 (k-diffusion always draws), because the stream should not depend on an unused option.
 */
import { finiteNumber, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { requireEdm, seededNoise, type Noise } from './solver.js';

/** Churn of EDM's Algorithm 2; off (0) by default. */
export interface ChurnOptions {
  readonly churn?: number;
  readonly churnMin?: number;
  readonly churnMax?: number;
  readonly noiseScale?: number;
  readonly noise?: Noise;
}

/** Stirs x at σ: a new tensor and σ̂, or the very x when γ = 0. */
export type Churn = (x: Tensor, sigma: number) => Promise<{ x: Tensor; sigma: number }>;

/** The churn of a run. Throws OptionError for negative values, CapabilityError for churn on a model with α ≢ 1. */
export function churnOf(denoise: Denoise, solver: string, sigmas: Float64Array, options: ChurnOptions): Churn {
  const { churnMin = 0, churnMax = Infinity, noise = seededNoise(0) } = options;
  const churn = finiteNumber('churn', options.churn ?? 0, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  if (churn > 0) requireEdm(denoise, `${solver} with churn`, sigmas[0] ?? 1);
  const gammaMax = Math.min(churn / (sigmas.length - 1), Math.SQRT2 - 1);
  return async (x, sigma) => {
    const gamma = sigma >= churnMin && sigma <= churnMax ? gammaMax : 0;
    if (gamma === 0) return { x, sigma };
    const raised = sigma * (1 + gamma);
    const n = await noise(x.shape, sigma, raised);
    const stirred = await lincomb([1, x], [noiseScale * Math.sqrt(raised ** 2 - sigma ** 2), n]);
    n.dispose();
    return { x: stirred, sigma: raised };
  };
}
