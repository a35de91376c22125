/*
 *   x = α(σ)·p + σ·n                                                     image to image: start at σ, with the picture under its noise
 *   D′(x; σ) = m·D(m·x + (1 − m)·(α·p + σ·n); σ) + (1 − m)·p             inpainting: m = 1 is painted, m = 0 stays p
 *
 * SDEdit (arXiv 2108.01073) and mask re-noising with one and the same noise n (RePaint, arXiv 2201.09865, draws a fresh one every step; one noise
 * keeps multistep memory smooth). Where m = 0 the picture follows its own path exactly, and ends in p, whatever the solver.
 */
import { finiteNumber, floats, float32, lincomb, ShapeError, type Denoise, type MaybePromise, type Tensor } from '@ediffi/core';
import { frame } from '../solvers/solver.js';

/** The picture at noise level σ: α·picture + σ·noise `[B, …]`. The denoiser gives α (1 if it is left out). */
export function noised(picture: Tensor, noise: Tensor, sigma: number, denoise?: Pick<Denoise, 'alpha'>): MaybePromise<Tensor<'float32'>> {
  return lincomb([denoise?.alpha?.(sigma) ?? 1, picture], [sigma, noise]);
}

/** The last part of a grid: ⌊strength·steps⌋ of its steps, at least one. Throws OptionError unless 0 < strength ≤ 1. */
export function tail(sigmas: Float64Array, strength: number): Float64Array {
  finiteNumber('strength', strength, Number.MIN_VALUE, 1);
  const steps = sigmas.length - 1;
  return sigmas.slice(steps - Math.max(1, Math.min(steps, Math.floor(steps * strength))));
}

/** What stays, and the noise it rides on, `[B, …]`; the mask has the same shape, values 0 (stays) to 1 (is painted). */
export interface KnownPart {
  readonly image: Tensor;
  readonly noise: Tensor;
  readonly mask: Tensor;
}

/** A denoiser that may change `image` only where the mask is above 0. Works on the host. Rejects with ShapeError for unequal shapes. */
export function inpaint(denoise: Denoise, { image, noise, mask }: KnownPart): Denoise {
  const { alpha } = frame(denoise);
  const mix = (m: Float32Array, a: Float32Array, b: (i: number) => number): Float32Array => a.map((v, i) => m[i]! * v + (1 - m[i]!) * b(i));
  const call = async (x: Tensor, sigma: number): Promise<Tensor> => {
    const [m, p, n, now] = await Promise.all([floats(mask), floats(image), floats(noise), floats(x)]);
    if (m.length !== now.length || p.length !== now.length || n.length !== now.length) throw new ShapeError('inpaint', `${now.length} elements, as x has`, `image ${p.length}, noise ${n.length}, mask ${m.length}`);
    const a = alpha(sigma);
    const denoised = await denoise(await x.device.fromHost(float32(mix(m, now, (i) => a * p[i]! + sigma * n[i]!), x.shape)), sigma);
    const out = mix(m, await floats(denoised), (i) => p[i]!);
    denoised.dispose();
    return x.device.fromHost(float32(out, x.shape));
  };
  return Object.assign(call, denoise.alpha && { alpha: denoise.alpha });
}
