import { floats, type Abort, type HostTensor } from '@ediffi/core';
import type { ImageEncoder } from '@ediffi/encoders';
import type { Features } from './frechet.js';
import type { Judge } from './judge.js';

/** Features of pictures, each `[1, 3, H, W]` of any size, by the judge and by the CLIP image encoder. */
export async function featuresOf(pictures: readonly HostTensor[], judge: Judge, image: ImageEncoder, call: { readonly signal?: Abort } = {}): Promise<Record<'judge' | 'clip-image', Features>> {
  const rows = { judge: [] as number[], 'clip-image': [] as number[] };
  for (const picture of pictures) {
    call.signal?.throwIfAborted();
    rows.judge.push(...(await judge.look(picture, call)).features);
    rows['clip-image'].push(...(await floats((await image.encode(picture, call)).pooled!)));
  }
  return { judge: { width: judge.width, data: rows.judge }, 'clip-image': { width: image.width, data: rows['clip-image'] } };
}

/** Rows of features by number. */
export function rowsAt({ data, width }: Features, rows: readonly number[]): Features {
  const out = new Float64Array(rows.length * width);
  rows.forEach((row, i) => {
    for (let k = 0; k < width; k++) out[i * width + k] = data[row * width + k]!;
  });
  return { width, data: out };
}
