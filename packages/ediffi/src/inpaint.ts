/*
 * Inpainting by keeping the known part on its own noise path: with one noise n, kept picture p and mask m (1 = repaint),
 *
 *   D′(x; σ) = m·D(m·x + (1 − m)·(p + σ·n); σ) + (1 − m)·p
 *
 * Where m = 0 every ODE solver then follows x = p + σ·n exactly and ends in p, whatever its order (RePaint, arXiv 2201.09865,
 * re-noises with fresh noise each step; one noise keeps multistep history smooth).
 */
import { float32, floats, type Denoise, type HostTensor } from '@ediffi/core';

/** The kept picture and the noise it rides on `[B, 3, H, W]`, and the mask `[B, 1, H, W]` in 0…1. */
export interface Known {
  readonly image: HostTensor;
  readonly noise: HostTensor;
  readonly mask: HostTensor;
}

/** A denoiser that may change `image` only where the mask is white. */
export function inpainted(denoise: Denoise, { image, noise, mask }: Known): Denoise {
  const [batch = 1, channels = 1, height = 1, width = 1] = image.shape;
  const size = height * width;
  const weight = (i: number): number => mask.data[Math.floor(i / (channels * size)) * size + (i % size)]!;
  const weights = Float32Array.from({ length: batch * channels * size }, (_, i) => weight(i));
  const mix = (data: Float32Array, other: (i: number) => number): HostTensor => float32(data.map((v, i) => weights[i]! * v + (1 - weights[i]!) * other(i)), image.shape);
  const call: Denoise = async (x, sigma) => {
    const seen = mix(await floats(x), (i) => image.data[i]! + sigma * noise.data[i]!);
    const denoised = await denoise(seen, sigma);
    const out = mix(await floats(denoised), (i) => image.data[i]!);
    denoised.dispose();
    return out;
  };
  return Object.assign(call, denoise.alpha && { alpha: denoise.alpha });
}
