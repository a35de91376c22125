import { CapabilityError } from '../errors/errors.js';
import { halfToNumber, numberToHalf } from './half.js';
import { float32, hostTensor } from './host.js';
import type { DType, Tensor } from './tensor.js';

/** A tensor in the element type that a graph takes: the tensor itself when it has it, else a copy, on the host where its device does not know how. Fractions are cut for integers. Throws CapabilityError for types that are no numbers. */
export async function cast(tensor: Tensor, dtype: DType): Promise<Tensor> {
  if (tensor.dtype === dtype) return tensor;
  const there = tensor.device.cast?.(tensor, dtype);
  if (there) return there;
  const { data, shape } = await tensor.toHost();
  const numbers = Float64Array.from(data as ArrayLike<number | bigint> as ArrayLike<number>, tensor.dtype === 'float16' ? halfToNumber : Number);
  if (dtype === 'float32') return float32(Float32Array.from(numbers), shape);
  if (dtype === 'float16') return hostTensor(Uint16Array.from(numbers, numberToHalf), shape, dtype);
  if (dtype === 'int64') return hostTensor(BigInt64Array.from([...numbers], (v) => BigInt(Math.trunc(v))), shape, dtype);
  if (dtype === 'int32') return hostTensor(Int32Array.from(numbers), shape, dtype);
  throw new CapabilityError('element type', `${tensor.dtype} cannot be given as ${dtype}`);
}
