import { CapabilityError } from '@ediffi/core';
import { int, ints, type Op } from './op.js';
import { axisOf, broadcastShape, gatherBroadcast, size, strides, value, type Value } from './value.js';

function matmul(a: Value, b: Value): Value {
  const [m, k] = [a.shape.at(-2) ?? 1, a.shape.at(-1)!];
  const n = b.shape.at(-1)!;
  const lead = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const wide = (v: Value, r: number, c: number): Float64Array => gatherBroadcast(v, [...lead, r, c]);
  const [p, q] = [wide(a, m, k), wide(b, k, n)];
  const batch = size(lead);
  const out = new Float64Array(batch * m * n);
  for (let t = 0; t < batch; t++) {
    for (let i = 0; i < m; i++) {
      for (let l = 0; l < k; l++) {
        const x = p[(t * m + i) * k + l]!;
        if (x === 0) continue;
        const [row, from] = [(t * m + i) * n, (t * k + l) * n];
        for (let j = 0; j < n; j++) out[row + j] = out[row + j]! + x * q[from + j]!;
      }
    }
  }
  return value(out, [...lead, m, n], a.dtype);
}

function transposed(x: Value): Value {
  const [r, c] = x.shape as [number, number];
  return value(Float64Array.from(x.data, (_, i) => x.data[(i % r) * c + Math.floor(i / r)]!), [c, r], x.dtype);
}

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

function conv(x: Value, w: Value, bias: Value | undefined, stride: number, pad: number, group: number): Value {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [outputs, each, kh, kw] = w.shape as [number, number, number, number];
  const [oh, ow] = [Math.floor((height + 2 * pad - kh) / stride) + 1, Math.floor((width + 2 * pad - kw) / stride) + 1];
  const out = new Float64Array(batch * outputs * oh * ow);
  for (let b = 0; b < batch; b++) {
    for (let o = 0; o < outputs; o++) {
      const plane = out.subarray((b * outputs + o) * oh * ow, (b * outputs + o + 1) * oh * ow).fill(bias?.data[o] ?? 0);
      const first = Math.floor((o * group) / outputs) * each;
      for (let c = 0; c < each; c++) {
        const source = x.data.subarray((b * channels + first + c) * height * width);
        for (let i = 0; i < kh; i++) {
          for (let j = 0; j < kw; j++) {
            const weight = w.data[((o * each + c) * kh + i) * kw + j]!;
            for (let y = 0; y < oh; y++) {
              const sy = y * stride + i - pad;
              if (sy < 0 || sy >= height) continue;
              for (let z = 0; z < ow; z++) {
                const sx = z * stride + j - pad;
                if (sx >= 0 && sx < width) plane[y * ow + z] = plane[y * ow + z]! + weight * source[sy * width + sx]!;
              }
            }
          }
        }
      }
    }
  }
  return value(out, [batch, outputs, oh, ow], x.dtype);
}

/** Normalises runs of `run` elements to mean 0, variance 1. */
function normalised(x: Value, run: number, epsilon: number): Float64Array {
  const out = new Float64Array(x.data.length);
  for (let start = 0; start < out.length; start += run) {
    const part = x.data.subarray(start, start + run);
    const mean = part.reduce((a, b) => a + b, 0) / run;
    const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / run;
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (let i = 0; i < run; i++) out[start + i] = (part[i]! - mean) * scale;
  }
  return out;
}

function resize(x: Value, shape: readonly number[], linear: boolean): Value {
  const [planes, h, w] = [size(x.shape.slice(0, 2)), x.shape[2]!, x.shape[3]!];
  const [oh, ow] = [shape[2]!, shape[3]!];
  const out = new Float64Array(planes * oh * ow);
  const taps = (i: number, from: number, to: number): [number, number, number] => {
    if (!linear) return [Math.floor((i * from) / to), 0, 0]; // asymmetric, floor: what PyTorch exports
    const at = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5));
    const low = Math.floor(at);
    return [low, Math.min(from - 1, low + 1), at - low];
  };
  for (let p = 0; p < planes; p++) {
    for (let y = 0; y < oh; y++) {
      const [y0, y1, fy] = taps(y, h, oh);
      for (let z = 0; z < ow; z++) {
        const [x0, x1, fx] = taps(z, w, ow);
        const read = (r: number, c: number): number => x.data[(p * h + r) * w + c]!;
        const top = read(y0, x0) + (fx ? fx * (read(y0, x1) - read(y0, x0)) : 0);
        const bottom = fy ? read(y1, x0) + (fx ? fx * (read(y1, x1) - read(y1, x0)) : 0) : 0;
        out[(p * oh + y) * ow + z] = top + (fy ? fy * (bottom - top) : 0);
      }
    }
  }
  return value(out, shape, x.dtype);
}

/** Operators that compute across elements. */
export const compute: Readonly<Record<string, Op>> = {
  MatMul: ([a, b]) => [matmul(a!, b!)],
  Gemm: ([a, b, c], attributes) => {
    const product = matmul(int(attributes, 'transA', 0) ? transposed(a!) : a!, int(attributes, 'transB', 0) ? transposed(b!) : b!);
    const [alpha, beta] = [attributes.get('alpha')?.f ?? 1, attributes.get('beta')?.f ?? 1];
    const added = c ? gatherBroadcast(c, product.shape) : undefined;
    return [value(product.data.map((v, i) => alpha * v + (added ? beta * added[i]! : 0)), product.shape, product.dtype)];
  },
  Conv: ([x, w, b], attributes) => {
    const pads = ints(attributes, 'pads', [0, 0, 0, 0]);
    const step = ints(attributes, 'strides', [1, 1]);
    if (new Set(pads).size > 1 || new Set(step).size > 1 || ints(attributes, 'dilations', [1, 1]).some((d) => d !== 1) || x!.shape.length !== 4) {
      throw new CapabilityError('reference backend', `Conv with pads [${pads.join(', ')}], strides [${step.join(', ')}] or dilation is not supported`);
    }
    return [conv(x!, w!, b, step[0]!, pads[0]!, int(attributes, 'group', 1))];
  },
  Softmax: ([x], attributes) => {
    const axis = axisOf(int(attributes, 'axis', -1), x!.shape.length);
    if (axis !== x!.shape.length - 1) throw new CapabilityError('reference backend', `Softmax over axis ${axis} of ${x!.shape.length} is not supported, only over the last`);
    const run = x!.shape[axis]!;
    const out = new Float64Array(x!.data.length);
    for (let start = 0; start < out.length; start += run) {
      const row = x!.data.subarray(start, start + run);
      const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
      const shares = row.map((v) => Math.exp(v - top));
      const sum = shares.reduce((a, b) => a + b, 0);
      out.set(shares.map((v) => v / sum), start);
    }
    return [value(out, x!.shape, x!.dtype)];
  },
  InstanceNormalization: ([x, scale, bias], attributes) => {
    const run = size(x!.shape.slice(2));
    const out = normalised(x!, run, attributes.get('epsilon')?.f ?? 1e-5);
    const channels = x!.shape[1]!;
    return [value(out.map((v, i) => v * scale!.data[Math.floor(i / run) % channels]! + bias!.data[Math.floor(i / run) % channels]!), x!.shape, x!.dtype)];
  },
  LayerNormalization: ([x, scale, bias], attributes) => {
    const axis = axisOf(int(attributes, 'axis', -1), x!.shape.length);
    const run = size(x!.shape.slice(axis));
    const out = normalised(x!, run, attributes.get('epsilon')?.f ?? 1e-5);
    return [value(out.map((v, i) => v * scale!.data[i % run]! + (bias?.data[i % run] ?? 0)), x!.shape, x!.dtype)];
  },
  Resize: ([x, , scales, sizes], attributes) => {
    const shape = sizes ? [...sizes.data] : x!.shape.map((n, i) => Math.floor(n * scales!.data[i]!));
    const mode = attributes.get('mode')?.s ?? 'nearest';
    const position = attributes.get('coordinate_transformation_mode')?.s ?? 'half_pixel';
    if (x!.shape.length !== 4 || (mode === 'linear' ? !/half_pixel/.test(position) : position !== 'asymmetric')) {
      throw new CapabilityError('reference backend', `Resize ${mode} with ${position} coordinates is not supported`);
    }
    return [resize(x!, shape, mode === 'linear')];
  },
  ReduceSum: reduction(0, (s, v) => s + v),
  ReduceMean: reduction(0, (s, v) => s + v, (s, n) => s / n),
  ReduceMax: reduction(-Infinity, (s, v) => Math.max(s, v)),
  ReduceMin: reduction(Infinity, (s, v) => Math.min(s, v)),
  ReduceL2: reduction(0, (s, v) => s + v * v, Math.sqrt),
};
