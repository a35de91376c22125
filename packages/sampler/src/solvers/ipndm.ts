/*
 *   ε̄ = Σⱼ wⱼ·εᵢ₋ⱼ (Adams–Bashforth 1, 2, 3, 4 as the memory fills),   x′ = α′·(x − σ·ε̄)/α + σ′·ε̄,   εᵢ = (xᵢ − α·Dᵢ)/σ
 *
 * Improved PNDM (arXiv 2204.13902, App. H.3): PNDM's multistep rule without a Runge–Kutta start. One network call per step. Order 1 on
 * uneven steps, up to 4 on steps even in ρ = σ/α (the weights are for even steps). EDM, VE, VP and flow.
 * Deviates: an answer at α = 0 makes a first-order step with D (diffusers divides by max(α, 1e−8) and loses D: `alphaFloor`).
 */
import { integer, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { combine, firstOrder, frame, type Step } from './solver.js';
import type { LmsOptions } from './lms.js';

/** Adams–Bashforth weights for even steps, newest first, by order. */
export const adamsBashforth: readonly (readonly number[])[] = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];

/** Order 1–4 (default 4); `alphaFloor` is diffusers' 1e−8. */
export interface IpndmOptions extends LmsOptions {
  readonly alphaFloor?: number;
}

/** iPNDM: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an order outside 1…4. */
export function ipndm(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: IpndmOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const order = integer('order', options.order ?? 4, 1, 4);
  const at = frame(denoise);
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, history, own }) => {
      const a = Math.max(at.alpha(sigma), options.alphaFloor ?? 0);
      const past = { sigma, value: await own(combine([1 / sigma, x], [-at.alpha(sigma) / sigma, denoised])) };
      if (a === 0) return { next: await combine(...firstOrder(at, x, denoised, sigma, sigmaNext)), past };
      const used = [past, ...history];
      const weights = adamsBashforth[used.length - 1]!;
      const [keep, gain] = [at.alpha(sigmaNext) / a, sigmaNext - (at.alpha(sigmaNext) * sigma) / a];
      return { next: await combine([keep, x], ...used.map((p, j) => [gain * weights[j]!, p.value] as const)), past };
    },
    { depth: order - 1, resume: options.resume },
  );
}
