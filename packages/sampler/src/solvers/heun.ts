/*
 *   d = (x − D(x; σ))/σ,   x̃ = x + (σ′ − σ)·d,   d′ = (x̃ − D(x̃; σ′))/σ′,   x′ = x + (σ′ − σ)·(d + d′)/2
 *
 * Heun's method, EDM Alg. 1 (arXiv 2206.00364). Order 2, two network calls per step; the last step to σ = 0 is Euler's.
 * Churn (EDM Alg. 2): before a step, σ̂ = σ·(1 + γ), γ = min(S_churn/n, √2 − 1) while σ ∈ [S_min, S_max], noise of √(σ̂² − σ²)·S_noise.
 * Deviates: draws noise only where γ > 0 (k-diffusion draws always), because the draws should not depend on unused options.
 */
import { finiteNumber, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { checkGrid, eulerStep, requireEdm, seededNoise, type Noise, type Step } from './solver.js';

/** Churn of EDM's Algorithm 2; all 0 by default. */
export interface HeunOptions {
  readonly churn?: number;
  readonly churnMin?: number;
  readonly churnMax?: number;
  readonly noiseScale?: number;
  readonly noise?: Noise;
}

/** Heun: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for churn on a flow model. */
export async function* heun(denoise: Denoise, start: Tensor, sigmas: Float64Array, options: HeunOptions = {}): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas);
  const { churnMin = 0, churnMax = Infinity, noise = seededNoise(0) } = options;
  const churn = finiteNumber('churn', options.churn ?? 0, 0);
  const noiseScale = finiteNumber('noiseScale', options.noiseScale ?? 1, 0);
  if (churn > 0) requireEdm(denoise, 'heun with churn', sigmas[0]!);
  const count = sigmas.length - 1;
  const owned = new Set<Tensor>();
  const own = <T extends Tensor>(tensor: T): T => (owned.add(tensor), tensor);
  const free = (...tensors: Tensor[]): void => tensors.forEach((t) => owned.delete(t) && t.dispose());
  try {
    let x = start;
    for (let index = 0; index < count; index++) {
      const [base, sigmaNext] = [sigmas[index]!, sigmas[index + 1]!];
      const gamma = base >= churnMin && base <= churnMax ? Math.min(churn / count, Math.SQRT2 - 1) : 0;
      const sigma = base * (1 + gamma);
      if (gamma > 0) {
        const n = own(await noise(x.shape));
        const stirred = own(await lincomb([1, x], [noiseScale * Math.sqrt(sigma ** 2 - base ** 2), n]));
        free(x, n);
        x = stirred;
      }
      const denoised = own(await denoise(x, sigma));
      let next = own(await eulerStep(x, denoised, sigma, sigmaNext));
      if (sigmaNext > 0) {
        const second = own(await denoise(next, sigmaNext));
        const half = (sigmaNext - sigma) / 2;
        const corrected = own(await lincomb([1 + half / sigma, x], [-half / sigma, denoised], [half / sigmaNext, next], [-half / sigmaNext, second]));
        free(next, second);
        next = corrected;
      }
      free(x);
      x = next;
      yield { index, count, sigma: base, sigmaNext, x, denoised };
      free(denoised);
    }
    owned.delete(x);
    return x;
  } finally {
    free(...owned);
  }
}
