/* Apart from view.ts, so that who only takes ndarrays does not load the library that makes them. */
import type { NdArray } from 'ndarray';
import { ShapeError } from '../errors/errors.js';
import { float32 } from './host.js';
import { sizeOf, type HostTensor } from './tensor.js';

/** A tensor `[...array.shape]` with the numbers of any scijs ndarray, strides and offset resolved (copies). */
export function fromNdarray(array: NdArray): HostTensor {
  const { shape, stride, offset, data } = array;
  if (shape.length === 0) throw new ShapeError('ndarray', 'at least one axis', 'none');
  const out = new Float32Array(sizeOf(shape));
  const index = shape.map(() => 0);
  for (let i = 0; i < out.length; i++) {
    const at = index.reduce((sum, n, axis) => sum + n * stride[axis]!, offset);
    out[i] = Number('get' in data ? data.get(at) : data[at]);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return float32(out, [...shape]);
}
