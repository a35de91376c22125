import { ShapeError } from '../errors/errors.js';
import { shapeText, sizeOf, type DataOf, type Device, type DType, type HostTensor, type Shape, type Tensor, type Term } from './tensor.js';

class Host<D extends DType> implements HostTensor<D> {
  readonly device = cpu;

  constructor(
    readonly data: DataOf[D],
    readonly shape: Shape,
    readonly dtype: D,
  ) {}

  toHost(): Promise<HostTensor<D>> {
    return Promise.resolve(this);
  }

  dispose(): void {}
}

/** Wraps `data` as a C-contiguous tensor without copying. Throws ShapeError when the sizes disagree. */
export function hostTensor<D extends DType>(data: DataOf[D], shape: Shape, dtype: D): HostTensor<D> {
  if (!shape.every((n) => Number.isInteger(n) && n >= 0)) throw new ShapeError('tensor', 'non-negative integer sizes', shapeText(shape));
  if (data.length !== sizeOf(shape)) throw new ShapeError('tensor', `${sizeOf(shape)} elements for ${shapeText(shape)}`, `${data.length}`);
  return new Host(data, shape, dtype);
}

/** A float32 host tensor from numbers or a Float32Array (which is not copied). */
export function float32(data: Float32Array | readonly number[], shape: Shape): HostTensor {
  return hostTensor(data instanceof Float32Array ? data : Float32Array.from(data), shape, 'float32');
}

/** An int64 host tensor from integers. */
export function int64(values: readonly number[], shape: Shape): HostTensor<'int64'> {
  return hostTensor(BigInt64Array.from(values, BigInt), shape, 'int64');
}

/** A float32 host tensor of zeros. */
export const zeros = (shape: Shape): HostTensor => float32(new Float32Array(sizeOf(shape)), shape);

/** Whether a tensor is on the host, with its numbers at hand. */
export function isHost<D extends DType>(tensor: Tensor<D>): tensor is HostTensor<D> {
  return tensor.device === cpu && 'data' in tensor;
}

/** The float32 numbers of a tensor, from whichever device. Throws ShapeError for another element type. */
export async function floats(tensor: Tensor): Promise<Float32Array> {
  const host = await tensor.toHost();
  if (!(host.data instanceof Float32Array)) throw new ShapeError('tensor', 'float32', host.dtype);
  return host.data;
}

function dataOf(tensor: Tensor, shape: Shape): Float32Array {
  if (!isHost(tensor) || !(tensor.data instanceof Float32Array)) throw new ShapeError('lincomb', 'float32 host tensors', `${tensor.dtype} on ${tensor.device.id}`);
  if (tensor.shape.length !== shape.length || tensor.shape.some((n, i) => n !== shape[i])) {
    throw new ShapeError('lincomb', shapeText(shape), shapeText(tensor.shape));
  }
  return tensor.data;
}

function combine(terms: readonly Term[]): HostTensor {
  const first = terms[0];
  if (first === undefined) throw new ShapeError('lincomb', 'at least one term', 'none');
  const shape = first[1].shape;
  const out = new Float32Array(sizeOf(shape));
  const inputs = terms.map(([, tensor]) => dataOf(tensor, shape));
  const weights = terms.map(([coefficient]) => coefficient);
  const [a, b, c, d] = inputs;
  const [p = 0, q = 0, r = 0, s = 0] = weights;
  // Unrolled for the lengths solvers use: the sum is in float64 and rounded once, when it is stored.
  if (a && !b) for (let i = 0; i < out.length; i++) out[i] = p * a[i]!;
  else if (a && b && !c) for (let i = 0; i < out.length; i++) out[i] = p * a[i]! + q * b[i]!;
  else if (a && b && c && !d) for (let i = 0; i < out.length; i++) out[i] = p * a[i]! + q * b[i]! + r * c[i]!;
  else if (a && b && c && d && inputs.length === 4) for (let i = 0; i < out.length; i++) out[i] = p * a[i]! + q * b[i]! + r * c[i]! + s * d[i]!;
  else {
    for (let i = 0; i < out.length; i++) {
      let sum = 0;
      for (let k = 0; k < inputs.length; k++) sum += weights[k]! * inputs[k]![i]!;
      out[i] = sum;
    }
  }
  return float32(out, shape);
}

/** The host: JavaScript memory. Sums in float64, rounded once to float32. */
export const cpu: Device = { id: 'cpu', lincomb: combine, fromHost: (tensor) => tensor };
