/*
 *   MMD² = mean_{i≠j} k(xᵢ, xⱼ) + mean_{i≠j} k(yᵢ, yⱼ) − 2·mean_{i,j} k(xᵢ, yⱼ),   k(x, y) = (x·y/d + 1)³
 *
 * Kernel inception distance (arXiv 1801.01401): unbiased for any number of samples, so it may come out below 0.
 */
import { ShapeError } from '@ediffi/core';
import { rowsOfFeatures, type Features } from './frechet.js';

function meanKernel(a: Features, b: Features, rowsA: number, rowsB: number): number {
  const { width: d } = a;
  const same = a === b;
  let sum = 0;
  for (let i = 0; i < rowsA; i++) {
    for (let j = 0; j < rowsB; j++) {
      if (same && i === j) continue;
      let dot = 0;
      for (let k = 0; k < d; k++) dot += a.data[i * d + k]! * b.data[j * d + k]!;
      sum += (dot / d + 1) ** 3;
    }
  }
  return sum / (same ? rowsA * (rowsA - 1) : rowsA * rowsB);
}

/** KID of features `[n, d]` and `[m, d]`, n, m ≥ 2. Throws ShapeError for different widths. */
export function kid(x: Features, y: Features): number {
  const [n, m] = [rowsOfFeatures(x, 2), rowsOfFeatures(y, 2)];
  if (x.width !== y.width) throw new ShapeError('features', `width ${x.width}`, `${y.width}`, 'compare features of one network');
  const other = x === y ? { ...y } : y; // the same set twice still has pairs of equal rows across
  return meanKernel(x, x, n, n) + meanKernel(y, y, m, m) - 2 * meanKernel(x, other, n, m);
}
