import { CapabilityError } from '@ediffi/core';
import { int, ints, type Op } from './op.js';
import { axisOf, broadcastShape, dtypes, gatherBroadcast, size, stored, strides, value, type Value } from './value.js';

/** Reads `source` through an index map from output position to input position. */
function remap(source: Value, shape: readonly number[], at: (index: readonly number[]) => number, outside = 0): Value {
  const out = new Float64Array(size(shape));
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < out.length; i++) {
    const from = at(index);
    out[i] = from < 0 ? outside : source.data[from]!;
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return { shape, data: out, dtype: source.dtype };
}

const dot = (index: readonly number[], steps: readonly number[]): number => index.reduce((sum, n, i) => sum + n * steps[i]!, 0);

function reshaped(x: Value, target: readonly number[], zeroIsZero: boolean): Value {
  const shape = target.map((n, i) => (n === 0 && !zeroIsZero ? x.shape[i]! : n));
  const rest = size(shape.filter((n) => n !== -1));
  return { ...x, shape: shape.map((n) => (n === -1 ? x.data.length / rest : n)) };
}

/** Operators that move elements without computing on them. */
export const shapes: Readonly<Record<string, Op>> = {
  Identity: ([x]) => [x],
  Shape: ([x], attributes) => {
    const sizes = x!.shape.slice(int(attributes, 'start', 0), int(attributes, 'end', x!.shape.length));
    return [value([...sizes], [sizes.length], 'int64')];
  },
  Size: ([x]) => [value([x!.data.length], [], 'int64')],
  Constant: (_, attributes) => {
    const tensor = attributes.get('value')?.tensor;
    if (tensor) return [stored(tensor)];
    const number = attributes.get('value_int')?.i ?? attributes.get('value_float')?.f;
    if (number !== undefined) return [value([number], [], attributes.has('value_int') ? 'int64' : 'float32')];
    const list = attributes.get('value_ints')?.ints ?? [];
    return [value([...list], [list.length], 'int64')];
  },
  ConstantOfShape: ([shape], attributes) => {
    const fill = attributes.get('value')?.tensor;
    const of = fill ? stored(fill) : value([0], [1], 'float32');
    return [value(new Float64Array(size([...shape!.data])).fill(of.data[0]!), [...shape!.data], of.dtype)];
  },
  Range: ([start, limit, delta]) => {
    const n = Math.max(0, Math.ceil((limit!.data[0]! - start!.data[0]!) / delta!.data[0]!));
    return [value(Float64Array.from({ length: n }, (_, i) => start!.data[0]! + i * delta!.data[0]!), [n], start!.dtype)];
  },
  Cast: ([x], attributes) => {
    const to = dtypes[int(attributes, 'to', 1)];
    if (!to) throw new CapabilityError('reference backend', `Cast to element type ${int(attributes, 'to', 1)} is not supported`);
    const whole = to === 'int64' || to === 'int32';
    return [value(x!.data.map((v) => (to === 'bool' ? Number(v !== 0) : whole ? Math.trunc(v) : v)), x!.shape, to)];
  },
  Reshape: ([x, shape], attributes) => [reshaped(x!, [...shape!.data], int(attributes, 'allowzero', 0) === 1)],
  Flatten: ([x], attributes) => {
    const axis = axisOf(int(attributes, 'axis', 1), x!.shape.length);
    return [{ ...x!, shape: [size(x!.shape.slice(0, axis)), size(x!.shape.slice(axis))] }];
  },
  Unsqueeze: ([x, axes]) => {
    const rank = x!.shape.length + axes!.data.length;
    const at = new Set([...axes!.data].map((a) => axisOf(a, rank)));
    const rest = [...x!.shape];
    return [{ ...x!, shape: Array.from({ length: rank }, (_, i) => (at.has(i) ? 1 : rest.shift()!)) }];
  },
  Squeeze: ([x, axes]) => {
    const at = axes ? new Set([...axes.data].map((a) => axisOf(a, x!.shape.length))) : undefined;
    return [{ ...x!, shape: x!.shape.filter((n, i) => (at ? !at.has(i) : n !== 1)) }];
  },
  Transpose: ([x], attributes) => {
    const perm = ints(attributes, 'perm', x!.shape.map((_, i) => x!.shape.length - 1 - i));
    const own = strides(x!.shape);
    const steps = perm.map((p) => own[p]!);
    return [remap(x!, perm.map((p) => x!.shape[p]!), (index) => dot(index, steps))];
  },
  Expand: ([x, target]) => {
    const shape = broadcastShape(x!.shape, [...target!.data]);
    return [{ ...x!, shape, data: gatherBroadcast(x!, shape) }];
  },
  Concat: (inputs, attributes) => {
    const parts = inputs as Value[];
    const axis = axisOf(int(attributes, 'axis', 0), parts[0]!.shape.length);
    const shape = parts[0]!.shape.map((n, i) => (i === axis ? parts.reduce((sum, p) => sum + p.shape[axis]!, 0) : n));
    const outer = size(shape.slice(0, axis));
    const out = new Float64Array(size(shape));
    let at = 0;
    for (let o = 0; o < outer; o++) {
      for (const part of parts) {
        const run = part.data.length / outer;
        out.set(part.data.subarray(o * run, (o + 1) * run), at);
        at += run;
      }
    }
    return [{ shape, data: out, dtype: parts[0]!.dtype }];
  },
  Split: ([x, sizes], attributes, count = 1) => {
    const axis = axisOf(int(attributes, 'axis', 0), x!.shape.length);
    const parts = sizes ? [...sizes.data] : new Array<number>(int(attributes, 'num_outputs', count)).fill(x!.shape[axis]! / int(attributes, 'num_outputs', count));
    const own = strides(x!.shape);
    let start = 0;
    return parts.map((n) => {
      const offset = start * own[axis]!;
      start += n;
      return remap(x!, x!.shape.map((m, i) => (i === axis ? n : m)), (index) => offset + dot(index, own));
    });
  },
  Slice: ([x, starts, ends, axes, steps]) => {
    const own = strides(x!.shape);
    const from = x!.shape.map(() => 0);
    const step = x!.shape.map(() => 1);
    const shape = [...x!.shape];
    [...starts!.data].forEach((s, k) => {
      const axis = axisOf(axes ? axes.data[k]! : k, shape.length);
      const n = x!.shape[axis]!;
      const by = steps ? steps.data[k]! : 1;
      const clamp = (v: number, low: number, high: number): number => Math.min(high, Math.max(low, v < 0 ? v + n : v));
      const begin = by > 0 ? clamp(s, 0, n) : clamp(s, 0, n - 1);
      const end = by > 0 ? clamp(ends!.data[k]!, 0, n) : ends!.data[k]! < -n ? -1 : clamp(ends!.data[k]!, -1, n - 1);
      from[axis] = begin;
      step[axis] = by;
      shape[axis] = Math.max(0, Math.ceil((end - begin) / by));
    });
    const offset = dot(from, own);
    const strided = own.map((n, i) => n * step[i]!);
    return [remap(x!, shape, (index) => offset + dot(index, strided))];
  },
  Gather: ([x, indices], attributes) => {
    const axis = axisOf(int(attributes, 'axis', 0), x!.shape.length);
    const own = strides(x!.shape);
    const rank = indices!.shape.length;
    const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)];
    const inner = strides(indices!.shape);
    return [
      remap(x!, shape, (index) => {
        const chosen = axisOf(indices!.data[dot(index.slice(axis, axis + rank), inner)] ?? 0, x!.shape[axis]!);
        return dot(index.slice(0, axis), own) + chosen * own[axis]! + index.slice(axis + rank).reduce((sum, n, i) => sum + n * own[axis + 1 + i]!, 0);
      }),
    ];
  },
  Pad: ([x, pads, fill, chosen], attributes) => {
    if ((attributes.get('mode')?.s ?? 'constant') !== 'constant') throw new CapabilityError('reference backend', `Pad mode '${attributes.get('mode')?.s}' is not supported`);
    const rank = x!.shape.length;
    const axes = chosen ? [...chosen.data].map((a) => axisOf(a, rank)) : x!.shape.map((_, i) => i);
    const [before, after] = [0, axes.length].map((from) => x!.shape.map((_, i) => (axes.includes(i) ? pads!.data[from + axes.indexOf(i)]! : 0))) as [number[], number[]];
    const own = strides(x!.shape);
    const shape = x!.shape.map((n, i) => n + before[i]! + after[i]!);
    const inside = remap(x!, shape, (index) => (index.every((n, i) => n >= before[i]! && n < before[i]! + x!.shape[i]!) ? dot(index.map((n, i) => n - before[i]!), own) : -1), fill?.data[0] ?? 0);
    return [inside];
  },
  Tile: ([x, repeats]) => {
    const own = strides(x!.shape);
    return [remap(x!, x!.shape.map((n, i) => n * repeats!.data[i]!), (index) => dot(index.map((n, i) => n % x!.shape[i]!), own))];
  },
  Trilu: ([x, k], attributes) => {
    const [upper, shift, own] = [int(attributes, 'upper', 1) === 1, k?.data[0] ?? 0, strides(x!.shape)];
    return [remap(x!, x!.shape, (index) => {
      const above = index.at(-1)! - index.at(-2)! - shift;
      return (upper ? above >= 0 : above <= 0) ? dot(index, own) : -1;
    })];
  },
  GatherElements: ([x, indices], attributes) => {
    const axis = axisOf(int(attributes, 'axis', 0), x!.shape.length);
    const [own, inner] = [strides(x!.shape), strides(indices!.shape)];
    return [remap(x!, indices!.shape, (index) => dot(index.map((n, i) => (i === axis ? axisOf(indices!.data[dot(index, inner)]!, x!.shape[axis]!) : n)), own))];
  },
  SpaceToDepth: ([x], attributes) => {
    const k = int(attributes, 'blocksize', 1);
    const [b, c, h, w] = x!.shape as [number, number, number, number];
    const own = strides(x!.shape);
    return [remap(x!, [b, c * k * k, h / k, w / k], ([n = 0, d = 0, y = 0, z = 0]) => dot([n, d % c, y * k + Math.floor(d / (c * k)), z * k + (Math.floor(d / c) % k)], own))];
  },
  DepthToSpace: ([x], attributes) => {
    const k = int(attributes, 'blocksize', 1);
    const [b, c, h, w] = x!.shape as [number, number, number, number];
    const deep = c / (k * k);
    const crd = attributes.get('mode')?.s === 'CRD';
    const split = crd ? [b, deep, k, k, h, w] : [b, k, k, deep, h, w];
    const own = strides(split);
    return [
      remap(x!, [b, deep, h * k, w * k], ([n = 0, d = 0, y = 0, z = 0]) => {
        const [i, j] = [y % k, z % k];
        const inner = crd ? d * own[1]! + i * own[2]! + j * own[3]! : i * own[1]! + j * own[2]! + d * own[3]!;
        return n * own[0]! + inner + Math.floor(y / k) * own[4]! + Math.floor(z / k);
      }),
    ];
  },
};
