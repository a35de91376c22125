/*
 *   ρ = σ/α,  ε = (x − α·D)/σ:   x′ = α′·(x/α + Σⱼ (∫_ρ^ρ′ ℓⱼ(ln r) dr)·εᵢ₋ⱼ),   ℓⱼ Lagrange polynomials on ln ρᵢ, ln ρᵢ₋₁, …
 *
 * DEIS-tAB in log ρ (arXiv 2204.13902, eq. 15 with t → ln ρ), as diffusers' DEISMultistep. Order 1–3, one network call per step; lower
 * order while the memory fills and on the step to σ = 0. EDM, VE, VP and flow.
 * Deviates: integrals by moments around ln ρᵢ (exp-lagrange.ts), because the printed antiderivatives subtract nearly equal terms.
 */
import { integer, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { expLagrange } from '../math/exp-lagrange.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, type SolverOptions, type Step } from './solver.js';

/** Order (default 3), and whether the last two steps are of orders at most 2 and 1. */
export interface DeisOptions extends SolverOptions {
  readonly order?: number;
  readonly lowerOrderFinal?: boolean;
}

/** DEIS multistep: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an order outside 1…3. */
export function deis(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DeisOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const order = integer('order', options.order ?? 3, 1, 3);
  const at = frame(denoise);
  const { alpha, lambda } = at;
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, index, count, history, own }) => {
      const past = { sigma, value: await own(lincomb([1 / sigma, x], [-alpha(sigma) / sigma, denoised])) };
      const last = options.lowerOrderFinal ? count - index : order;
      const used = [past, ...history.filter((p) => lambda(p.sigma) !== -Infinity)].slice(0, Math.min(order, last));
      if (sigmaNext === 0 || used.length === 1 || alpha(sigma) === 0) return { next: await combine(...firstOrder(at, x, denoised, sigma, sigmaNext)), past };
      const rho = sigma / alpha(sigma);
      const nodes = used.map((p) => lambda(sigma) - lambda(p.sigma)); // ln ρⱼ − ln ρᵢ
      const weights = expLagrange(nodes, lambda(sigma) - lambda(sigmaNext), 1);
      const a = alpha(sigmaNext);
      return { next: await combine([a / alpha(sigma), x], ...used.map((p, j) => [a * rho * weights[j]!, p.value] as const)), past };
    },
    { depth: order - 1, resume: options.resume, planned: options.planned },
  );
}
