/*
 *   T(x; σ → σ′, ε) = (α′/α)·x + (σ′ − α′·σ/α)·ε,   εᵢ = (xᵢ − α·Dᵢ)/σ   (eq. 11)
 *   PRK (first three steps): Runge–Kutta 4 with T in place of x + h·k;   PLMS: ε̄ = (55·εᵢ − 59·εᵢ₋₁ + 37·εᵢ₋₂ − 9·εᵢ₋₃)/24, x′ = T(x; ε̄)
 *
 * Pseudo numerical methods (arXiv 2202.09778, eqs. 12–13 and Alg. 2). `skipPrk` (PLMS) starts with a Heun-like pair of calls and lower orders.
 * Network calls: 4 per step for three steps, then 1; skipPrk: 2 on the first step, then 1. Order 4 on steps even in ρ = σ/α (skipPrk: its
 * start is of order 2), 1 on uneven ones, because the weights are for even steps. EDM, VE, VP and flow.
 * Deviates: an answer at α = 0 (flow at σ = 1) is used for one first-order step, because T divides by α.
 */
import { type Denoise, type Tensor } from '@ediffi/core';
import { adamsBashforth } from './ipndm.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, type SolverOptions, type Step } from './solver.js';

/** Options of PNDM. The last five reproduce diffusers' integer timesteps. */
export interface PndmOptions extends SolverOptions {
  readonly skipPrk?: boolean;
  /** What is averaged: ε (default), or v = (α·x − D)/σ. */
  readonly average?: 'epsilon' | 'v';
  /** Where step i goes when that is not sigmas[i + 1]. */
  readonly targets?: Float64Array;
  /** PRK's middle: the σ that the first stage goes to, and the σ that the network is told; halfway in ρ = σ/α by default. */
  readonly between?: (sigma: number, sigmaNext: number) => readonly [to: number, at: number];
  /** The σ that PLMS's second call assumes the first step started from. */
  readonly secondFrom?: number;
  /** The σ of PLMS's second call, which the first step ends at and sigmas[1] is then taken for (diffusers, started in the middle of its list); 'none': no second call. */
  readonly pair?: number | 'none';
}

/** PNDM: x `[B, …]` at sigmas[0] → x at the last σ. Throws SigmaRangeError for a grid that does not decrease. */
export function pndm(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: PndmOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { skipPrk = false, average = 'epsilon', targets } = options;
  const at = frame(denoise);
  const { alpha } = at;
  const halfway = (s: number, t: number): number => at.sigmaAt(-Math.log((s / alpha(s) + t / alpha(t)) / 2));
  const between = options.between ?? ((s, t) => [halfway(s, t), halfway(s, t)]);
  const slope = (x: Tensor, d: Tensor, sigma: number): ReturnType<typeof combine> => (average === 'v' ? combine([alpha(sigma) / sigma, x], [-1 / sigma, d]) : combine([1 / sigma, x], [-alpha(sigma) / sigma, d]));
  const transfer = (x: Tensor, from: number, to: number, slopes: readonly (readonly [number, Tensor])[]): ReturnType<typeof combine> => {
    const [keep, gain] = [alpha(to) / alpha(from), to - (alpha(to) * from) / alpha(from)];
    const scale = average === 'v' ? gain * alpha(from) : gain; // ε = α·v + σ·x
    return combine([average === 'v' ? keep + gain * from : keep, x], ...slopes.map(([w, t]) => [w * scale, t] as const));
  };
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, index, history, evaluate, own }) => {
    if (alpha(sigma) === 0) return { next: await combine(...firstOrder(at, x, denoised, sigma, sigmaNext)), past: { sigma, value: denoised } };
    const to = targets?.[index] ?? sigmaNext;
    const known = history.filter((p) => alpha(p.sigma) > 0);
    const past = { sigma, value: await own(slope(x, denoised, sigma)) };
    const next = async (): Promise<Tensor> => {
      if (!skipPrk && index < 3 && sigmaNext > 0) {
        const [first, middle] = between(sigma, sigmaNext);
        const stage = async (k: Tensor, target: number, s: number): Promise<Tensor> => {
          const y = await own(transfer(x, sigma, target, [[1, k]]));
          return own(slope(y, await evaluate(y, s), s));
        };
        const k2 = await stage(past.value, first, middle);
        const k3 = await stage(k2, middle, middle);
        const k4 = await stage(k3, sigmaNext, sigmaNext);
        return transfer(x, sigma, sigmaNext, [[1 / 6, past.value], [1 / 3, k2], [1 / 3, k3], [1 / 6, k4]]);
      }
      const pair = options.pair ?? sigmaNext;
      if (skipPrk && known.length === 0 && pair !== 'none' && pair > 0) {
        const y = await own(transfer(x, sigma, targets?.[index] ?? pair, [[1, past.value]]));
        const second = await own(slope(y, await evaluate(y, pair), pair));
        return transfer(x, options.secondFrom ?? sigma, pair, [[1 / 2, past.value], [1 / 2, second]]);
      }
      const used = [past, ...known];
      const weights = adamsBashforth[used.length - 1]!;
      return transfer(x, sigma, to, used.map((p, j) => [weights[j]!, p.value] as const));
    };
    return { next: await next(), past };
  };
  return loop(denoise, x, sigmas, rule, { depth: 3, resume: options.resume });
}
