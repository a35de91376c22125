import { float32, resizeBytes, resizePlanes, type HostTensor } from '@ediffi/core';
import type { RgbPicture } from './pictures/input.js';

/** A control picture at the painted size, `[1, 3, H, W]` in 0…1, by diffusers' rule: bytes resized by Pillow's Lanczos, tensors (of −1…1) by nearest neighbour. */
export function controlImage(image: HostTensor | RgbPicture, { width, height }: { readonly width: number; readonly height: number }): HostTensor {
  if ('shape' in image) {
    const [, , h = 1, w = 1] = image.shape;
    return float32(resizePlanes(image.data, 3, h, w, height, width, { mode: 'nearest' }).map((v) => (v + 1) / 2), [1, 3, height, width]);
  }
  const bytes = resizeBytes(image.data, 3, image.height, image.width, height, width, 'lanczos');
  const area = height * width;
  return float32(Float32Array.from({ length: 3 * area }, (_, i) => bytes[(i % area) * 3 + Math.floor(i / area)]! / 255), [1, 3, height, width]);
}
