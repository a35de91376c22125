import { ShapeError } from '../errors/errors.js';
import type { MaybePromise, Tensor, Term } from './tensor.js';

/**
 * Σ cᵢ·tᵢ: the one update every solver makes. Coefficients are float64; tensors are float32, of one shape, on one device.
 * Throws ShapeError on mixed devices, shapes or element types.
 *
 * @example
 * ```ts
 * import { float32, floats, lincomb } from '@ediffi/core';
 *
 * const [x, denoised] = [float32([1, 2], [2]), float32([0, 4], [2])];
 * const next = await lincomb([0.5, x], [0.5, denoised]); // Euler from σ to σ/2
 * console.log(await floats(next)); // 0.5, 3
 * ```
 */
export function lincomb(...terms: Term[]): MaybePromise<Tensor<'float32'>> {
  const first = terms[0];
  if (first === undefined) throw new ShapeError('lincomb', 'at least one term', 'none');
  const device = first[1].device;
  for (const [, tensor] of terms) {
    if (tensor.device !== device) throw new ShapeError('lincomb', `tensors on ${device.id}`, `one on ${tensor.device.id}`, 'move them to one device first');
  }
  return device.lincomb(terms);
}
