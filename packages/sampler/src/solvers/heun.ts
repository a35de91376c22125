/*
 *   d = (x − D(x; σ))/σ,   x̃ = x + (σ′ − σ)·d,   d′ = (x̃ − D(x̃; σ′))/σ′,   x′ = x + (σ′ − σ)·(d + d′)/2
 *
 * Heun's method, EDM Alg. 1 (arXiv 2206.00364). Order 2, two network calls per step; the last step to σ = 0 is Euler's.
 * Churn: see churn.ts.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { churnOf, type ChurnOptions } from './churn.js';
import { checkGrid, eulerStep, type Step } from './solver.js';

/** Heun: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for churn on a flow model. */
export async function* heun(denoise: Denoise, start: Tensor, sigmas: Float64Array, options: ChurnOptions = {}): AsyncGenerator<Step, Tensor, void> {
  checkGrid(sigmas);
  const churn = churnOf(denoise, 'heun', sigmas, options);
  const count = sigmas.length - 1;
  const owned = new Set<Tensor>();
  const own = <T extends Tensor>(tensor: T): T => (owned.add(tensor), tensor);
  const free = (...tensors: Tensor[]): void => tensors.forEach((t) => owned.delete(t) && t.dispose());
  try {
    let x = start;
    for (let index = 0; index < count; index++) {
      const [base, sigmaNext] = [sigmas[index]!, sigmas[index + 1]!];
      const { sigma, x: stirred } = await churn(x, base);
      if (stirred !== x) {
        own(stirred);
        free(x);
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
