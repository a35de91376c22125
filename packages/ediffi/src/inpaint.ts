/*
 * Inpainting by keeping the known part on its own noise path: with one noise n, kept picture p and mask m (1 = repaint),
 *
 *   D′(x; σ) = m·D(m·x + (1 − m)·(α·p + σ·n); σ) + (1 − m)·p
 *
 * Where m = 0 every ODE solver then follows x = α·p + σ·n exactly and ends in p, whatever its order (RePaint, arXiv 2201.09865,
 * re-noises with fresh noise each step; one noise keeps multistep history smooth).
 */
import { float32, lincomb, type Denoise, type HostTensor } from '@ediffi/core';
import { inpaint } from '@ediffi/sampler';

/** The kept picture and the noise it rides on `[B, C, H, W]`, and the mask `[B, 1, H, W]` in 0…1. */
export interface Known {
  readonly image: HostTensor;
  readonly noise: HostTensor;
  readonly mask: HostTensor;
}

/** A mask for every channel. */
function weights({ image, mask }: Known): HostTensor {
  const [batch = 1, channels = 1, height = 1, width = 1] = image.shape;
  const size = height * width;
  const rows = mask.shape[0] ?? 1;
  return float32(Float32Array.from({ length: batch * channels * size }, (_, i) => mask.data[(Math.floor(i / (channels * size)) % rows) * size + (i % size)]!), image.shape);
}

/** A denoiser that may change `image` only where the mask is white. */
export const inpainted = (denoise: Denoise, known: Known): Denoise => inpaint(denoise, { ...known, mask: weights(known) });

/** `x` where the mask is white, the kept picture at noise level σ elsewhere. */
export async function kept(x: HostTensor, known: Known, sigma: number, alpha: (sigma: number) => number): Promise<HostTensor> {
  const m = weights(known);
  const own = sigma === 0 ? known.image : ((await lincomb([alpha(sigma), known.image], [sigma, known.noise])) as HostTensor);
  return float32(x.data.map((v, i) => m.data[i]! * v + (1 - m.data[i]!) * own.data[i]!), x.shape);
}
