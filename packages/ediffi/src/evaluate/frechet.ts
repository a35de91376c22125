/*
 *   d² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2·(Σ₁Σ₂)^½)
 *
 * Fréchet distance of two Gaussians (Dowson & Landau 1982); of Inception features it is FID (arXiv 1706.08500). The trace of the root is the sum
 * of the roots of the eigenvalues of the symmetric S·Σ₂·S with S = Σ₁^½, which are those of Σ₁Σ₂: no root of an unsymmetric matrix is needed.
 */
import { OptionError, ShapeError } from '@ediffi/core';
import { symmetricEigen, symmetricEigenvalues } from './eigen.js';

/** Mean `[d]` and covariance `[d, d]` (row-major) of features. */
export interface Moments {
  readonly mean: Float64Array;
  readonly covariance: Float64Array;
}

/** n rows of d numbers, row-major `[n, d]`. */
export interface Features {
  readonly data: ArrayLike<number>;
  readonly width: number;
}

/** Number of rows. Throws ShapeError when the data is no whole number of rows, OptionError when a value is not finite. */
export function rowsOfFeatures({ data, width }: Features, least: number): number {
  const rows = data.length / width;
  if (!Number.isInteger(rows) || rows < least) throw new ShapeError('features', `[n, ${width}] with n ≥ ${least}`, `${data.length} numbers`);
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) throw new OptionError(`feature ${i}`, data[i], 'a finite number');
  return rows;
}

/** Mean and covariance (n − 1) of features `[n, d]`, n ≥ 2. */
export function momentsOf(features: Features): Moments {
  const rows = rowsOfFeatures(features, 2);
  const { data, width: d } = features;
  const mean = new Float64Array(d);
  for (let r = 0; r < rows; r++) for (let i = 0; i < d; i++) mean[i]! += data[r * d + i]! / rows;
  const covariance = new Float64Array(d * d);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < d; i++) {
      const a = data[r * d + i]! - mean[i]!;
      for (let k = 0; k <= i; k++) covariance[i * d + k]! += a * (data[r * d + k]! - mean[k]!);
    }
  }
  for (let i = 0; i < d; i++) for (let k = 0; k <= i; k++) covariance[k * d + i] = covariance[i * d + k]! /= rows - 1;
  return { mean, covariance };
}

function times(a: Float64Array, b: Float64Array, d: number): Float64Array {
  const out = new Float64Array(d * d);
  for (let i = 0; i < d; i++) for (let k = 0; k < d; k++) for (let j = 0, v = a[i * d + k]!; j < d; j++) out[i * d + j]! += v * b[k * d + j]!;
  return out;
}

/** d², 0 for equal moments. Eigenvalues below 0, which rounding makes of 0, count as 0. Throws ShapeError for different widths. */
export const frechetDistance = (a: Moments, b: Moments): number => frechetFrom(a)(b);

/** Distances from one set of moments to many: its root is taken once. */
export function frechetFrom(a: Moments): (b: Moments) => number {
  const d = a.mean.length;
  const { values, vectors } = symmetricEigen(a.covariance, d);
  const root = new Float64Array(d * d); // S = V·√Λ·Vᵀ
  for (let k = 0; k < d; k++) for (let i = 0, s = Math.sqrt(Math.max(0, values[k]!)); i < d; i++) for (let j = 0; j < d; j++) root[i * d + j]! += s * vectors[i * d + k]! * vectors[j * d + k]!;
  return (b) => {
    if (b.mean.length !== d) throw new ShapeError('moments', `width ${d}`, `${b.mean.length}`, 'compare features of one network');
    const product = symmetricEigenvalues(times(times(root, b.covariance, d), root, d), d);
    let distance = 0;
    for (let i = 0; i < d; i++) distance += (a.mean[i]! - b.mean[i]!) ** 2 + a.covariance[i * d + i]! + b.covariance[i * d + i]! - 2 * Math.sqrt(Math.max(0, product[i]!));
    return Math.max(0, distance);
  };
}

/**
 * Fréchet distance of two sets of features `[n, d]` and `[m, d]`; biased upwards for few samples, so compare equal counts only.
 *
 * @example
 * ```ts
 * import { frechetOf } from 'ediffi';
 * import { randn } from '@ediffi/core';
 *
 * const features = (seed: number, shift: number) => ({ width: 4, data: randn([400, 4], seed).data.map((v) => v + shift) });
 * console.log(frechetOf(features(1, 0), features(2, 1))); // about 4: four features, each shifted by 1
 * ```
 */
export const frechetOf = (a: Features, b: Features): number => frechetDistance(momentsOf(a), momentsOf(b));
