/*
 *   x′ = x + Σⱼ (∫_σ^σ′ ℓⱼ(τ) dτ)·dᵢ₋ⱼ,   dᵢ = (xᵢ − D(xᵢ; σᵢ))/σᵢ,   ℓⱼ Lagrange polynomials on σᵢ, σᵢ₋₁, …
 *
 * Linear multistep (Adams–Bashforth on uneven steps), k-diffusion's sample_lms. Order 1–4 (default 4), one network call per step;
 * the first steps are of lower order. EDM, VE and flow (α linear in σ).
 * Deviates: integrates the polynomials in closed form (k-diffusion: quadrature, exact for them too).
 */
import { integer, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { adamsWeights } from '../math/exp-lagrange.js';
import { loop } from './loop.js';
import { combine, requireLinear, type SolverOptions, type Step } from './solver.js';

/** Order of a linear multistep rule, 1 to 4. */
export interface LmsOptions extends SolverOptions {
  readonly order?: number;
}

/** LMS: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an order outside 1…4, CapabilityError for a VP model. */
export function lms(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: LmsOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const order = integer('order', options.order ?? 4, 1, 4);
  requireLinear(denoise, 'lms');
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, history, own }) => {
      const slope = await own(lincomb([1 / sigma, x], [-1 / sigma, denoised]));
      const past = { sigma, value: slope };
      const used = [past, ...history];
      const weights = adamsWeights(used.map((p) => p.sigma), sigma, sigmaNext);
      return { next: await combine([1, x], ...used.map((p, j) => [weights[j]!, p.value] as const)), past };
    },
    { depth: order - 1, resume: options.resume },
  );
}
