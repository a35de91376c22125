/*
 * The loops behind lincomb, one per number of terms that solvers use. Each sum is made in float64 and rounded once, when it is stored.
 * Four elements per turn: V8 does not unroll, and the turn costs as much as the arithmetic (13 µs → 9 µs for two terms of 16 384).
 */
type Floats = Float32Array;

function one(out: Floats, a: Floats, p: number): void {
  const end = out.length - 3;
  let i = 0;
  for (; i < end; i += 4) {
    out[i] = p * a[i]!;
    out[i + 1] = p * a[i + 1]!;
    out[i + 2] = p * a[i + 2]!;
    out[i + 3] = p * a[i + 3]!;
  }
  for (; i < out.length; i++) out[i] = p * a[i]!;
}

function two(out: Floats, a: Floats, p: number, b: Floats, q: number): void {
  const end = out.length - 3;
  let i = 0;
  for (; i < end; i += 4) {
    out[i] = p * a[i]! + q * b[i]!;
    out[i + 1] = p * a[i + 1]! + q * b[i + 1]!;
    out[i + 2] = p * a[i + 2]! + q * b[i + 2]!;
    out[i + 3] = p * a[i + 3]! + q * b[i + 3]!;
  }
  for (; i < out.length; i++) out[i] = p * a[i]! + q * b[i]!;
}

function three(out: Floats, a: Floats, p: number, b: Floats, q: number, c: Floats, r: number): void {
  const end = out.length - 3;
  let i = 0;
  for (; i < end; i += 4) {
    out[i] = p * a[i]! + q * b[i]! + r * c[i]!;
    out[i + 1] = p * a[i + 1]! + q * b[i + 1]! + r * c[i + 1]!;
    out[i + 2] = p * a[i + 2]! + q * b[i + 2]! + r * c[i + 2]!;
    out[i + 3] = p * a[i + 3]! + q * b[i + 3]! + r * c[i + 3]!;
  }
  for (; i < out.length; i++) out[i] = p * a[i]! + q * b[i]! + r * c[i]!;
}

function four(out: Floats, a: Floats, p: number, b: Floats, q: number, c: Floats, r: number, d: Floats, s: number): void {
  const end = out.length - 3;
  let i = 0;
  for (; i < end; i += 4) {
    out[i] = p * a[i]! + q * b[i]! + r * c[i]! + s * d[i]!;
    out[i + 1] = p * a[i + 1]! + q * b[i + 1]! + r * c[i + 1]! + s * d[i + 1]!;
    out[i + 2] = p * a[i + 2]! + q * b[i + 2]! + r * c[i + 2]! + s * d[i + 2]!;
    out[i + 3] = p * a[i + 3]! + q * b[i + 3]! + r * c[i + 3]! + s * d[i + 3]!;
  }
  for (; i < out.length; i++) out[i] = p * a[i]! + q * b[i]! + r * c[i]! + s * d[i]!;
}

function many(out: Floats, inputs: readonly Floats[], weights: readonly number[]): void {
  for (let i = 0; i < out.length; i++) {
    let total = 0;
    for (let k = 0; k < inputs.length; k++) total += weights[k]! * inputs[k]![i]!;
    out[i] = total;
  }
}

/** Σ weights[k]·inputs[k], arrays of equal length, as a new array. */
export function sum(inputs: readonly Floats[], weights: readonly number[]): Floats {
  const [a, b, c, d] = inputs;
  const [p = 0, q = 0, r = 0, s = 0] = weights;
  const out = new Float32Array(a!.length);
  if (inputs.length > 4) many(out, inputs, weights);
  else if (d) four(out, a!, p, b!, q, c!, r, d, s);
  else if (c) three(out, a!, p, b!, q, c, r);
  else if (b) two(out, a!, p, b, q);
  else one(out, a!, p);
  return out;
}
