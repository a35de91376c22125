/*
 *   σ(t) = √((1 − ᾱₜ)/ᾱₜ) at integer t, between them linear in t (diffusers) or linear in ln σ (k-diffusion);   t(σ) by linear interpolation in ln σ
 *
 * A discrete model's σ↔t in VE form. float32 where PyTorch has float32: the table and its logarithms.
 */
import { interpolate } from '../math/arrays.js';
import { alphasCumprod, betas, type BetaOptions } from './betas.js';

/** A model's noise levels: what grids by schedule need. σ rises with t. */
export interface Schedule {
  /** σ at t = 0, 1, …, ascending. */
  readonly sigmas: Float64Array;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  /** σ at a time, interpolated. */
  sigma(t: number): number;
  /** The time of a σ, interpolated in ln σ (VP) or linear (flow), clamped to the table. */
  timestep(sigma: number): number;
}

/** A VP model's schedule, with its tables. */
export interface VpSchedule extends Schedule {
  readonly betas: Float32Array;
  readonly alphasCumprod: Float32Array;
}

const f = Math.fround;

/** The t of σ on a table of ln σ, ascending, clamped to its ends; in float32 as NumPy does it, so that table entries give whole numbers. */
export function timestepOf(logs: Float32Array, sigma: number): number {
  const log = f(Math.log(Math.max(sigma, 1e-10)));
  let [low, high] = [0, logs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (logs[middle]! <= log) low = middle;
    else high = middle;
  }
  const w = Math.min(1, Math.max(0, f(f(logs[low]! - log) / f(logs[low]! - logs[low + 1]!))));
  return f(1 - w) * low + w * (low + 1);
}

/** The schedule of a VP model from its betas. `lastAlpha` replaces a last ᾱ of 0, whose σ would be infinite (diffusers: 2⁻²⁴). */
export function vpSchedule(options: BetaOptions & { readonly lastAlpha?: number } = {}): VpSchedule {
  const table = betas(options);
  const bar = alphasCumprod(table);
  if (options.lastAlpha !== undefined) bar[bar.length - 1] = options.lastAlpha;
  const sigmas = Float64Array.from(bar, (a) => f(Math.sqrt(f(f(1 - a) / a))));
  const logs = Float32Array.from(sigmas, (s) => Math.log(s));
  return {
    betas: table,
    alphasCumprod: bar,
    sigmas,
    sigmaMin: sigmas[0]!,
    sigmaMax: sigmas[sigmas.length - 1]!,
    sigma: (t) => Math.exp(interpolate(logs, t)),
    timestep: (sigma) => timestepOf(logs, sigma),
  };
}

/** The schedule of a flow model with static shift s: σ = s·u/(1 + (s − 1)·u), u = t/steps (arXiv 2403.03206, eq. 23); t = steps·σ. */
export function flowSchedule({ shift = 1, steps = 1000 }: { readonly shift?: number; readonly steps?: number } = {}): Schedule {
  const sigma = (t: number): number => (shift * (t / steps)) / (1 + (shift - 1) * (t / steps));
  const sigmas = Float64Array.from({ length: steps }, (_, i) => f(sigma(i + 1)));
  return { sigmas, sigmaMin: sigmas[0]!, sigmaMax: sigmas[steps - 1]!, sigma, timestep: (s) => s * steps };
}

/** The schedule of an EDM model: t = ln(σ)/4 (arXiv 2206.00364, Table 1); the table is `steps` values of the ρ = 7 grid. */
export function edmSchedule({ sigmaMin = 0.002, sigmaMax = 80, steps = 1000 }: { readonly sigmaMin?: number; readonly sigmaMax?: number; readonly steps?: number } = {}): Schedule {
  const [low, high] = [sigmaMin ** (1 / 7), sigmaMax ** (1 / 7)];
  const sigmas = Float64Array.from({ length: steps }, (_, i) => (low + (i / (steps - 1)) * (high - low)) ** 7);
  return { sigmas, sigmaMin, sigmaMax, sigma: (t) => Math.exp(4 * t), timestep: (s) => Math.log(s) / 4 };
}
