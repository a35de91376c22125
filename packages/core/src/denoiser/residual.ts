/*
 * Super-resolution on the residual: with r = (x − up)/s,
 *
 *   D_x(x; σ) = up + s·D_r(r; σ/s)
 *
 * `up` is the enlarged low-resolution picture, s the residual's scale: a change of variable, so every solver,
 * guidance and inpainting works in the pixel space of x.
 */
import { finiteNumber } from '../errors/check.js';
import { lincomb } from '../tensor/lincomb.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Denoiser } from './denoiser.js';

/** A denoiser of x `[B, C, H, W]` from one of the residual to `up` (same shape). Its σ range is that of `inner` times `scale`. */
export function residual<C>(inner: Denoiser<C>, up: Tensor, scale: number): Denoiser<C> {
  finiteNumber('residual scale', scale, Number.MIN_VALUE);
  return {
    sigmaMin: inner.sigmaMin * scale,
    sigmaMax: inner.sigmaMax * scale,
    alpha: () => 1,
    ...(inner.guidanceAt && { guidanceAt: (sigma: number) => inner.guidanceAt?.(sigma / scale) }),
    async denoise(x, sigma, condition, options) {
      const r = await lincomb([1 / scale, x], [-1 / scale, up]);
      const denoised = await inner.denoise(r, sigma / scale, condition, options).finally(() => r.dispose());
      const out = await lincomb([1, up], [scale, denoised]);
      denoised.dispose();
      return out;
    },
    dispose: () => inner.dispose(),
  };
}
