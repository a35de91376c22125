import { ShapeError } from '../errors/errors.js';
import { sum } from './sum.js';
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
  const inputs = terms.map(([, tensor]) => dataOf(tensor, shape));
  return new Host(sum(inputs, terms.map(([coefficient]) => coefficient)), shape, 'float32');
}

/** The host: JavaScript memory. Sums in float64, rounded once to float32. */
export const cpu: Device = { id: 'cpu', lincomb: combine, fromHost: (tensor) => tensor };
