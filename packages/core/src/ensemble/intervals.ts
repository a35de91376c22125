/*
 * Where one expert ends and the next begins. eDiff-I (arXiv 2211.01324, §3.2) halves the training distribution of ln σ ~ Normal(P_mean, P_std²)
 * by probability mass: level l has 2^l intervals E_i^l, i growing with noise;
 *
 *   edge(l, k) = exp(P_mean + P_std·Φ⁻¹(k/2^l)),   E_i^l = (edge(l, i), edge(l, i + 1)]
 */
import { finiteNumber, integer } from '../errors/check.js';
import { OptionError } from '../errors/errors.js';

/** The log-normal from which training noise is drawn. EDM's defaults: mean −1.2, std 1.2. */
export interface LogNormal {
  readonly mean: number;
  readonly std: number;
}

/** A noise level in any of the units people use; one canonical form inside. */
export type Cut =
  | { readonly sigma: number }
  /** log(α²/σ²) = −2·ln σ for α ≡ 1. */
  | { readonly logSnr: number }
  /** A model's own timestep, with its table: σ of timestep t. */
  | { readonly timestep: number; readonly sigmaOf: (timestep: number) => number }
  /** k of the 2^level quantiles of the training noise. */
  | { readonly quantile: number; readonly level: number; readonly noise?: LogNormal };

/** Standard normal quantile Φ⁻¹(p), 0 < p < 1 (Acklam's rational approximation, one Halley step: about 1e-15). */
export function normalQuantile(p: number): number {
  finiteNumber('probability', p, Number.MIN_VALUE, 1 - Number.EPSILON / 2);
  const tail = 0.02425;
  let x: number;
  if (p < tail || p > 1 - tail) {
    const q = Math.sqrt(-2 * Math.log(Math.min(p, 1 - p)));
    const top = ((((-7.784894002430293e-3 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) * q + 4.374664141464968) * q + 2.938163982698783;
    const bottom = (((7.784695709041462e-3 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1;
    x = (p < tail ? 1 : -1) * (top / bottom);
  } else {
    const q = p - 0.5;
    const r = q * q;
    const top = (((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r - 30.66479806614716) * r + 2.506628277459239) * q;
    const bottom = ((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r - 13.28068155288572) * r + 1;
    x = top / bottom;
  }
  const e = 0.5 * erfc(-x / Math.SQRT2) - p;
  const u = e * Math.sqrt(2 * Math.PI) * Math.exp((x * x) / 2);
  return x - u / (1 + (x * u) / 2);
}

/** Complementary error function: series near 0, continued fraction beyond 2 (about 1e-15 relative). */
export function erfc(x: number): number {
  const a = Math.abs(x);
  if (a < 2) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum) && n < 100; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    const erf = (2 / Math.sqrt(Math.PI)) * sum;
    return x >= 0 ? 1 - erf : 1 + erf;
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (a + fraction);
  const tail = Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction);
  return x >= 0 ? tail : 2 - tail;
}

/** edge(l, k): σ below which k/2^l of the training noise lies; 0 and ∞ at the ends. */
export function quantileEdge(level: number, k: number, noise: LogNormal = { mean: -1.2, std: 1.2 }): number {
  integer('level', level, 0, 52);
  integer('quantile', k, 0, 2 ** level);
  if (k === 0) return 0;
  if (k === 2 ** level) return Infinity;
  return Math.exp(noise.mean + noise.std * normalQuantile(k / 2 ** level));
}

/**
 * The interval E_i^l as (sigmaMin, sigmaMax].
 *
 * @example
 * ```ts
 * import { expertInterval } from '@ediffi/core';
 *
 * const { sigmaMin, sigmaMax } = expertInterval(9, 511); // the paper's high-noise expert
 * if (!(sigmaMin > 9 && sigmaMax === Infinity)) throw new Error(`(${sigmaMin}, ${sigmaMax}]`);
 * ```
 */
export function expertInterval(level: number, index: number, noise?: LogNormal): { sigmaMin: number; sigmaMax: number } {
  return { sigmaMin: quantileEdge(level, index, noise), sigmaMax: quantileEdge(level, index + 1, noise) };
}

/** σ of a cut, whatever its unit. Throws OptionError when it is not one of the four forms. */
export function cutSigma(cut: Cut): number {
  if ('sigma' in cut) return finiteNumber('cut σ', cut.sigma, 0);
  if ('logSnr' in cut) return Math.exp(-finiteNumber('cut log-SNR', cut.logSnr) / 2);
  if ('timestep' in cut) return finiteNumber('cut σ of timestep', cut.sigmaOf(cut.timestep), 0);
  if ('quantile' in cut) return quantileEdge(cut.level, cut.quantile, cut.noise);
  throw new OptionError('cut', JSON.stringify(cut), '{ sigma }, { logSnr }, { timestep, sigmaOf } or { quantile, level }');
}

/** Splits (sigmaMin, sigmaMax] at the cuts: intervals from high noise to low. Throws OptionError for cuts outside or equal. */
export function splitRange(range: { readonly sigmaMin: number; readonly sigmaMax: number }, cuts: readonly Cut[]): { sigmaMin: number; sigmaMax: number }[] {
  const edges = [range.sigmaMax, ...cuts.map(cutSigma).sort((a, b) => b - a), range.sigmaMin];
  return edges.slice(1).map((low, i) => {
    if (!(low < edges[i]!)) throw new OptionError('cuts', edges.join(' > '), 'distinct noise levels inside the range');
    return { sigmaMin: low, sigmaMax: edges[i]! };
  });
}

/** Gaps and overlaps of intervals (min, max]; edges closer than 1e-9 relative count as equal. */
export function coverage(intervals: readonly { readonly sigmaMin: number; readonly sigmaMax: number }[]): { gaps: [number, number][]; overlaps: [number, number][] } {
  const sorted = [...intervals].sort((a, b) => a.sigmaMin - b.sigmaMin);
  const gaps: [number, number][] = [];
  const overlaps: [number, number][] = [];
  sorted.slice(1).forEach((next, i) => {
    const { sigmaMax: edge } = sorted[i]!;
    if (Math.abs(next.sigmaMin - edge) <= 1e-9 * edge) return;
    if (next.sigmaMin > edge) gaps.push([edge, next.sigmaMin]);
    else overlaps.push([next.sigmaMin, Math.min(edge, next.sigmaMax)]);
  });
  return { gaps, overlaps };
}
