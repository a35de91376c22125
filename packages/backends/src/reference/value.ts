import { CapabilityError, halfToNumber, numberToHalf, type DType } from '@ediffi/core';
import type { Initializer } from '../graph/onnx.js';
import { floatValues, integers, FLOAT, FLOAT16 } from '../graph/onnx.js';

/** A tensor inside the interpreter: every element type is held in float64, which represents all of them exactly. */
export interface Value {
  readonly shape: readonly number[];
  readonly data: Float64Array;
  readonly dtype: ValueType;
}

/** Element types inside a graph; float64 does not cross its border. */
export type ValueType = DType | 'float64';

/** Element types of ONNX that the interpreter knows. */
export const dtypes: Readonly<Record<number, ValueType>> = { 1: 'float32', 2: 'uint8', 6: 'int32', 7: 'int64', 9: 'bool', 10: 'float16', 11: 'float64' };

/** Product of sizes. */
export const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A value; results are rounded as a kernel of the element type would store them. */
export function value(data: Float64Array | readonly number[], shape: readonly number[], dtype: ValueType): Value {
  const numbers = data instanceof Float64Array ? data : Float64Array.from(data);
  if (dtype === 'float32') for (let i = 0; i < numbers.length; i++) numbers[i] = Math.fround(numbers[i]!);
  else if (dtype === 'float16') for (let i = 0; i < numbers.length; i++) numbers[i] = halfToNumber(numberToHalf(numbers[i]!));
  return { shape, data: numbers, dtype };
}

/** A tensor stored in the file. Throws CapabilityError for element types or external data that the interpreter does not read. */
export function stored(tensor: Initializer): Value {
  const dtype = dtypes[tensor.type];
  if (!dtype || tensor.external) throw new CapabilityError('reference backend', `tensor '${tensor.name}': ${tensor.external ? 'external data' : `element type ${tensor.type}`} is not supported`);
  if (tensor.type === FLOAT) return value(floatValues(tensor), tensor.dims, dtype);
  if (dtype === 'float64') {
    const raw = tensor.raw ? tensor.raw.slice() : undefined; // aligned
    if (!raw) throw new CapabilityError('reference backend', `tensor '${tensor.name}': float64 outside raw_data is not supported`);
    return value(new Float64Array(raw.buffer), tensor.dims, dtype);
  }
  if (tensor.type === FLOAT16) {
    const view = new DataView(tensor.raw!.buffer, tensor.raw!.byteOffset, tensor.raw!.byteLength);
    return value(Float64Array.from({ length: view.byteLength / 2 }, (_, i) => halfToNumber(view.getUint16(2 * i, true))), tensor.dims, dtype);
  }
  if (dtype === 'bool' || dtype === 'uint8') return value(Float64Array.from(tensor.raw ?? integers(tensor)), tensor.dims, dtype);
  return value(integers(tensor), tensor.dims, dtype);
}

/** Strides of a C-contiguous shape. */
export function strides(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) out[i] = out[i + 1]! * shape[i + 1]!;
  return out;
}

/** NumPy broadcasting of two shapes. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [p, q] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1];
    return p === 1 ? q : p;
  });
}

/** Reads `source` at every index of `shape`, broadcasting: calls back with (position, element). */
export function gatherBroadcast(source: Value, shape: readonly number[]): Float64Array {
  const out = new Float64Array(size(shape));
  if (source.data.length === 1) return out.fill(source.data[0]!);
  if (source.shape.length === shape.length && source.shape.every((n, i) => n === shape[i])) return source.data;
  const own = strides(source.shape);
  const steps = shape.map((_, i) => {
    const axis = i - shape.length + source.shape.length;
    return axis < 0 || source.shape[axis] === 1 ? 0 : own[axis]!;
  });
  const index = new Array<number>(shape.length).fill(0);
  let at = 0;
  for (let i = 0; i < out.length; i++) {
    out[i] = source.data[at]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += steps[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= steps[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** A non-negative axis. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
