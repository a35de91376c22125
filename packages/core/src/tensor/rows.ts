/* Pictures of a batch put together and taken apart, on whichever device they are. */
import { ShapeError } from '../errors/errors.js';
import { float32, floats } from './host.js';
import type { Device, HostTensor, Tensor } from './tensor.js';

/** `[m, …]` followed by `[n, …]`: `[m + n, …]`, float32. `where` and `advice` are for the ShapeError of tensors that are unlike, or on two devices. */
export async function concatRows(a: Tensor, b: Tensor, where = 'rows', advice?: string): Promise<Tensor<'float32'>> {
  const { device, shape: [rows = 1, ...rest] } = a;
  const said = (t: Tensor): string => `[n, ${t.shape.slice(1).join(', ')}] on ${t.device.id}`;
  if (said(a) !== said(b) || b.device !== device) throw new ShapeError(where, said(a), said(b), advice);
  if (device.concat) return device.concat(a, b);
  const [first, second] = [await floats(a), await floats(b)];
  const out = new Float32Array(first.length + second.length);
  out.set(first);
  out.set(second, first.length);
  return device.fromHost(float32(out, [rows + b.shape[0]!, ...rest]));
}

/** Rows `from` (included) to `to` (excluded) of `[B, …]`, float32: on the host a view of the same memory. */
export async function takeRows(tensor: Tensor, from: number, to: number): Promise<Tensor<'float32'>> {
  const { device, shape: [rows = 1, ...rest] } = tensor;
  if (device.rows) return device.rows(tensor, from, to);
  const data = await floats(tensor);
  const size = data.length / rows;
  return device.fromHost(float32(data.subarray(from * size, to * size), [to - from, ...rest]));
}

/** A tensor on a device: itself when it is there, else a copy. */
export const placed = async (tensor: Tensor, device: Device): Promise<Tensor> => (tensor.device === device ? tensor : device.fromHost((await tensor.toHost()) as HostTensor));
