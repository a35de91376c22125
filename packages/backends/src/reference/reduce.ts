import { int, ints, type Op } from './op.js';
import { axisOf, size, strides, value, type Value } from './value.js';

/** Folds the given axes: `start` → `step` per element → `finish`. */
function fold(x: Value, axes: readonly number[], keep: boolean, start: number, step: (sum: number, v: number) => number, finish: (sum: number, n: number) => number): Value {
  const at = new Set(axes.map((a) => axisOf(a, x.shape.length)));
  const kept = x.shape.map((n, i) => (at.has(i) ? 1 : n));
  const out = new Float64Array(size(kept)).fill(start);
  const own = strides(kept).map((s, i) => (at.has(i) ? 0 : s));
  const index = new Array<number>(x.shape.length).fill(0);
  for (const v of x.data) {
    const to = index.reduce((sum, n, i) => sum + n * own[i]!, 0);
    out[to] = step(out[to]!, v);
    for (let axis = index.length - 1; axis >= 0 && ++index[axis]! === x.shape[axis]; axis--) index[axis] = 0;
  }
  const n = x.data.length / out.length;
  return value(out.map((v) => finish(v, n)), keep ? kept : kept.filter((_, i) => !at.has(i)), x.dtype);
}

const reduction = (start: number, step: (sum: number, v: number) => number, finish: (sum: number, n: number) => number = (v) => v): Op => ([x, axes], attributes) => {
  const all = x!.shape.map((_, i) => i);
  const given = axes ? [...axes.data] : ints(attributes, 'axes', all);
  return [fold(x!, given.length ? given : all, int(attributes, 'keepdims', 1) === 1, start, step, finish)];
};

/** Along one axis: every run of elements, as views that the callback fills. */
function along(x: Value, axis: number, each: (run: Float64Array, out: Float64Array) => void): Float64Array {
  const n = x.shape[axis]!;
  const step = strides(x.shape)[axis]!;
  const out = new Float64Array(x.data.length);
  const [run, result] = [new Float64Array(n), new Float64Array(n)];
  for (let start = 0; start < out.length; start++) {
    if (Math.floor(start / step) % n !== 0) continue;
    for (let i = 0; i < n; i++) run[i] = x.data[start + i * step]!;
    each(run, result);
    for (let i = 0; i < n; i++) out[start + i * step] = result[i]!;
  }
  return out;
}

function softmax(run: Float64Array, out: Float64Array): void {
  const top = run.reduce((a, b) => Math.max(a, b), -Infinity);
  let sum = 0;
  for (let i = 0; i < run.length; i++) sum += out[i] = Math.exp(run[i]! - top);
  for (let i = 0; i < run.length; i++) out[i] = out[i]! / sum;
}

const onAxis = (fallback: number, each: (run: Float64Array, out: Float64Array) => void): Op => ([x], attributes) => {
  const axis = axisOf(int(attributes, 'axis', fallback), x!.shape.length);
  return [value(along(x!, axis, each), x!.shape, x!.dtype)];
};

const extreme = (better: (a: number, b: number) => boolean): Op => ([x], attributes) => {
  const axis = axisOf(int(attributes, 'axis', 0), x!.shape.length);
  const last = int(attributes, 'select_last_index', 0) === 1;
  const best = along(x!, axis, (run, out) => out.fill(run.reduce((at, v, i) => (better(v, run[at]!) || (last && v === run[at]) ? i : at), 0)));
  const every = strides(x!.shape)[axis]!;
  const n = x!.shape[axis]!;
  const kept = x!.shape.map((m, i) => (i === axis ? 1 : m));
  const data = best.filter((_, i) => Math.floor(i / every) % n === 0);
  return [value(data, int(attributes, 'keepdims', 1) === 1 ? kept : kept.filter((_, i) => i !== axis), 'int64')];
};

/** Reductions, and what runs along one axis. */
export const reductions: Readonly<Record<string, Op>> = {
  ReduceSum: reduction(0, (s, v) => s + v),
  ReduceMean: reduction(0, (s, v) => s + v, (s, n) => s / n),
  ReduceMax: reduction(-Infinity, (s, v) => Math.max(s, v)),
  ReduceMin: reduction(Infinity, (s, v) => Math.min(s, v)),
  ReduceL2: reduction(0, (s, v) => s + v * v, Math.sqrt),
  ReduceProd: reduction(1, (s, v) => s * v),
  ReduceSumSquare: reduction(0, (s, v) => s + v * v),
  ReduceL1: reduction(0, (s, v) => s + Math.abs(v)),
  ArgMax: extreme((a, b) => a > b),
  ArgMin: extreme((a, b) => a < b),
  Softmax: onAxis(-1, softmax),
  LogSoftmax: onAxis(-1, (run, out) => {
    softmax(run, out);
    for (let i = 0; i < out.length; i++) out[i] = Math.log(out[i]!);
  }),
  CumSum: ([x, axis], attributes) => {
    const [exclusive, reverse] = [int(attributes, 'exclusive', 0), int(attributes, 'reverse', 0)];
    const sums = along(x!, axisOf(axis!.data[0]!, x!.shape.length), (run, out) => {
      let sum = 0;
      for (let k = 0; k < run.length; k++) {
        const i = reverse ? run.length - 1 - k : k;
        out[i] = exclusive ? sum : sum + run[i]!;
        sum += run[i]!;
      }
    });
    return [value(sums, x!.shape, x!.dtype)];
  },
};
