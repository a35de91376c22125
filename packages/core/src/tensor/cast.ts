import { CapabilityError } from '../errors/errors.js';
import { halfToNumber, numberToHalf } from './half.js';
import { float32, hostTensor } from './host.js';
import type { DType, Tensor } from './tensor.js';

/** A tensor in the element type that a graph takes: the tensor itself when it has it, else a copy on the host. Fractions are cut for integers. Throws CapabilityError for types that are no numbers. */
export async function cast(tensor: Tensor, dtype: DType): Promise<Tensor> {
  if (tensor.dtype === dtype) return tensor;
  const { data, shape } = await tensor.toHost();
  const numbers: ArrayLike<number | bigint> = data;
  const number = (i: number): number => (tensor.dtype === 'float16' ? halfToNumber(Number(numbers[i]!)) : Number(numbers[i]!));
  const { length } = numbers;
  if (dtype === 'float32') return float32(Float32Array.from({ length }, (_, i) => number(i)), shape);
  if (dtype === 'float16') return hostTensor(Uint16Array.from({ length }, (_, i) => numberToHalf(number(i))), shape, 'float16');
  if (dtype === 'int64') return hostTensor(BigInt64Array.from({ length }, (_, i) => BigInt(Math.trunc(number(i)))), shape, 'int64');
  if (dtype === 'int32') return hostTensor(Int32Array.from({ length }, (_, i) => number(i)), shape, 'int32');
  throw new CapabilityError('element type', `${tensor.dtype} cannot be given as ${dtype}`);
}
