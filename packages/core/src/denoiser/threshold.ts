/*
 * Thresholding of the denoised picture. Static: clamp to [−1, 1]. Dynamic (Imagen, arXiv 2205.11487 §2.3): s = the p-quantile of
 * |x| per picture, raised to at least 1 (at most `limit`); clamp to [−s, s] and divide by s.
 */
import { finiteNumber } from '../errors/check.js';
import { OptionError } from '../errors/errors.js';
import { floats, float32 } from '../tensor/host.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Denoiser } from './denoiser.js';

/** Linear-interpolation quantile, as torch.quantile. */
export function quantile(values: Float32Array, p: number): number {
  const sorted = Float32Array.from(values).sort();
  const at = p * (sorted.length - 1);
  const low = Math.floor(at);
  const a = sorted[low]!;
  const b = sorted[Math.min(low + 1, sorted.length - 1)]!;
  return a + (b - a) * (at - low);
}

/** Clamps `[B, …]` to [−limit, limit]. */
export async function staticThreshold(x: Tensor, limit = 1): Promise<Tensor<'float32'>> {
  return x.device.fromHost(float32((await floats(x)).map((v) => Math.min(limit, Math.max(-limit, v))), x.shape));
}

/** Dynamic thresholding of `[B, …]`, per picture: quantile `p` in (0, 1], bounded by `limit` ≥ 1. */
export async function dynamicThreshold(x: Tensor, p = 0.995, limit = Infinity): Promise<Tensor<'float32'>> {
  const out = Float32Array.from(await floats(x));
  const size = out.length / (x.shape[0] ?? 1);
  for (let start = 0; start < out.length; start += size) {
    const picture = out.subarray(start, start + size);
    const s = Math.min(limit, Math.max(1, quantile(picture.map(Math.abs), p)));
    for (let i = 0; i < picture.length; i++) picture[i] = Math.min(s, Math.max(-s, picture[i]!)) / s;
  }
  return x.device.fromHost(float32(out, x.shape));
}

/** How denoised pictures are bounded: 'static' clamps to [−1, 1]; dynamic rescales by a quantile. */
export type Threshold = 'none' | 'static' | { readonly dynamic: number; readonly limit?: number };

/** Returns the rule if it is legal; throws OptionError for another word, a quantile outside (0, 1] or a limit below 1. */
export function checkThreshold(threshold: Threshold): Threshold {
  if (threshold === 'none' || threshold === 'static') return threshold;
  if (typeof threshold !== 'object' || threshold === null) throw new OptionError('threshold', threshold, "'none', 'static' or { dynamic: quantile, limit? }");
  finiteNumber('dynamic threshold quantile', threshold.dynamic, Number.MIN_VALUE, 1);
  const { limit = Infinity } = threshold;
  if (!(limit >= 1)) throw new OptionError('dynamic threshold limit', limit, 'a number ≥ 1');
  return threshold;
}

/** Bounds a tensor by the given rule (the tensor itself for 'none'); throws OptionError as checkThreshold does. */
export async function applyThreshold(x: Tensor, threshold: Threshold): Promise<Tensor> {
  checkThreshold(threshold);
  if (threshold === 'none') return x;
  if (threshold === 'static') return staticThreshold(x);
  return dynamicThreshold(x, threshold.dynamic, threshold.limit);
}

/** A denoiser whose answers are bounded. Throws OptionError for an illegal rule. */
export function thresholded<C>(denoiser: Denoiser<C>, threshold: Threshold): Denoiser<C> {
  checkThreshold(threshold);
  return {
    sigmaMin: denoiser.sigmaMin,
    sigmaMax: denoiser.sigmaMax,
    alpha: (sigma) => denoiser.alpha(sigma),
    ...(denoiser.guidanceAt && { guidanceAt: (sigma: number) => denoiser.guidanceAt?.(sigma) }),
    async denoise(x, sigma, condition, options) {
      const raw = await denoiser.denoise(x, sigma, condition, options);
      return threshold === 'none' ? raw : applyThreshold(raw, threshold).finally(() => raw.dispose());
    },
    dispose: () => denoiser.dispose(),
  };
}
