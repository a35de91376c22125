/*
 * A device whose tensors are float64, and exact denoisers on it: orders of convergence are measured without float32's floor.
 */
import type { Denoise, Device, Tensor, Term } from '@ediffi/core';

/** A tensor of float64 numbers in the clothes of a float32 one. */
export interface Wide extends Tensor<'float32'> {
  readonly data: Float64Array;
}

/** How many tensors were made and not yet freed. */
export const alive = { count: 0 };

/** A float64 tensor `[n]`. */
export function wide(data: Float64Array): Wide {
  let freed = false;
  alive.count++;
  return { dtype: 'float32', shape: [data.length], device: wideDevice, data, toHost: () => Promise.reject(new Error('stays on its device')), dispose: () => void (freed || ((freed = true), alive.count--)) };
}

const wideDevice: Device = {
  id: 'float64',
  lincomb: (terms: readonly Term[]) => wide((terms[0]![1] as Wide).data.map((_, i) => terms.reduce((sum, [c, t]) => sum + c * (t as Wide).data[i]!, 0))),
  fromHost: (tensor) => wide(Float64Array.from(tensor.data)),
};

/** The denoiser of a scalar function D(x; σ), elementwise. */
export function wideDenoise(at: (x: number, sigma: number) => number, alpha: (sigma: number) => number): Denoise {
  return Object.assign(async (x: Tensor, sigma: number): Promise<Tensor> => wide((x as Wide).data.map((v) => at(v, sigma))), { alpha });
}
