/*
 * Eigenvalues and eigenvectors of a symmetric matrix by cyclic Jacobi rotations (Golub & Van Loan, Algorithm 8.5.3): accurate to rounding
 * also for nearly singular covariances; O(d³) per sweep, about ten sweeps, meant for d up to a few hundred.
 */

/** Values `[d]` and vectors `[d, d]`, vector k in column k, of a symmetric row-major matrix. The input is not changed. */
export function symmetricEigen(matrix: Float64Array, d: number): { values: Float64Array; vectors: Float64Array } {
  const vectors = new Float64Array(d * d);
  for (let i = 0; i < d; i++) vectors[i * d + i] = 1;
  return { values: diagonalized(matrix, d, vectors), vectors };
}

/** The values alone: less work. */
export const symmetricEigenvalues = (matrix: Float64Array, d: number): Float64Array => diagonalized(matrix, d);

function diagonalized(matrix: Float64Array, d: number, v?: Float64Array): Float64Array {
  const a = Float64Array.from(matrix);
  const scale = a.reduce((sum, x) => sum + x * x, 0);
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let i = 0; i < d; i++) for (let k = 0; k < i; k++) off += a[i * d + k]! ** 2;
    if (off <= 1e-28 * scale) break; // convergence is quadratic: what is left is far below rounding of the values
    for (let p = 0; p < d; p++) for (let q = p + 1; q < d; q++) rotate(a, d, p, q, v);
  }
  return Float64Array.from({ length: d }, (_, i) => a[i * d + i]!);
}

/** The rotation in the plane (p, q) that makes a[p, q] zero. */
function rotate(a: Float64Array, d: number, p: number, q: number, v?: Float64Array): void {
  const apq = a[p * d + q]!;
  if (apq === 0) return;
  const theta = (a[q * d + q]! - a[p * d + p]!) / (2 * apq);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (let k = 0; k < d; k++) {
    const x = a[k * d + p]!;
    const y = a[k * d + q]!;
    a[k * d + p] = c * x - s * y;
    a[k * d + q] = s * x + c * y;
  }
  for (let k = 0; k < d; k++) {
    const x = a[p * d + k]!;
    const y = a[q * d + k]!;
    a[p * d + k] = c * x - s * y;
    a[q * d + k] = s * x + c * y;
  }
  for (let k = 0; v && k < d; k++) {
    const x = v[k * d + p]!;
    const y = v[k * d + q]!;
    v[k * d + p] = c * x - s * y;
    v[k * d + q] = s * x + c * y;
  }
}
