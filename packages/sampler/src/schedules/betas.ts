/*
 *   linear: β uniform;   scaled linear: √β uniform;   cosine: β = 1 − ā((i + 1)/N)/ā(i/N) ≤ 0.999, ā(u) = cos²((u + 0.008)/1.008·π/2);
 *   ᾱᵢ = Πⱼ (1 − βⱼ);   zero terminal SNR (arXiv 2305.08891, Alg. 1): √ᾱ shifted and scaled so that the last is 0 and the first stays
 *
 * Tables of DDPM (2006.11239), latent diffusion (2112.10752), improved DDPM (2102.09672): float32 exactly as PyTorch builds them,
 * because σ near t = 0 hangs on their rounding (1 − ᾱ cancels).
 */
import { integer, OptionError } from '@ediffi/core';
import { linspace32 } from '../math/arrays.js';

/** Names of diffusers' `beta_schedule`. */
export type BetaKind = 'linear' | 'scaled_linear' | 'squaredcos_cap_v2' | 'sigmoid' | 'exp' | 'laplace';

/** What makes a table of betas. */
export interface BetaOptions {
  readonly kind?: BetaKind;
  readonly steps?: number;
  readonly start?: number;
  readonly end?: number;
  /** A table of one's own, in place of all the above. */
  readonly betas?: ArrayLike<number>;
  readonly zeroTerminalSnr?: boolean;
}

const f = Math.fround;

const barOf: Readonly<Record<string, (u: number) => number>> = {
  squaredcos_cap_v2: (u) => Math.cos(((u + 0.008) / 1.008) * (Math.PI / 2)) ** 2,
  exp: (u) => Math.exp(-12 * u),
  laplace: (u) => Math.sqrt(1 / (1 + Math.exp(0.5 * Math.sign(0.5 - u || 1) * Math.log(1 - 2 * Math.abs(0.5 - u) + 1e-6)))),
};

/** β₀ … β_{N−1}, float32. Throws OptionError for an unknown kind or a table length outside 1 … 100 000. */
export function betas({ kind = 'linear', steps = 1000, start = 1e-4, end = 0.02, betas: own, zeroTerminalSnr = false }: BetaOptions = {}): Float32Array {
  integer('betas.steps', own?.length ?? steps, 1, 100_000);
  const table = ((): Float32Array => {
    if (own) return Float32Array.from(own);
    if (kind === 'linear') return linspace32(start, end, steps);
    if (kind === 'scaled_linear') return linspace32(Math.sqrt(start), Math.sqrt(end), steps).map((v) => f(v * v));
    if (kind === 'sigmoid') return linspace32(-6, 6, steps).map((v) => f(f(f(1 / (1 + Math.exp(-v))) * f(end - start)) + f(start)));
    const bar = barOf[kind];
    if (!bar) throw new OptionError('beta_schedule', kind, 'linear, scaled_linear, squaredcos_cap_v2, sigmoid, exp or laplace');
    return Float32Array.from({ length: steps }, (_, i) => Math.min(1 - bar((i + 1) / steps) / bar(i / steps), 0.999));
  })();
  return zeroTerminalSnr ? rescaled(table) : table;
}

/** ᾱ: the running product in float64, each value rounded to float32. */
export function alphasCumprod(table: Float32Array): Float32Array {
  let product = 1;
  return table.map((beta) => (product *= f(1 - beta)));
}

function rescaled(table: Float32Array): Float32Array {
  const root = alphasCumprod(table).map(Math.sqrt);
  const [first, last] = [root[0]!, root[root.length - 1]!];
  const scale = f(first / f(first - last));
  const bar = root.map((v) => f(f(v - last) * scale)).map((v) => f(v * v));
  return bar.map((v, i) => f(1 - (i === 0 ? v : f(v / bar[i - 1]!))));
}
