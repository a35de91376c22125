/*
 *   score = cos(E_text(caption), E_image(picture))
 *
 * CLIP score (arXiv 2104.08718 without its factor 2.5 and without cutting at 0; eDiff-I Fig. 9 plots this cosine).
 */
import { floats, OptionError, ShapeError, type Abort, type HostTensor, type PromptEncoder } from '@ediffi/core';
import type { ImageEncoder } from '@ediffi/encoders';

/** The two towers of one CLIP. */
export interface ClipTowers {
  readonly text: PromptEncoder;
  readonly image: ImageEncoder;
}

/** Cosine of two rows of numbers; 0 when one of them is all zeros. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return aa * bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}

/** One score per pair; pictures `[B, 3, H, W]` in −1…1, B captions. Throws ShapeError for another number of captions, OptionError for towers that do not belong together. */
export async function clipScores(pictures: HostTensor, captions: readonly string[], { text, image }: ClipTowers, call: { readonly signal?: Abort } = {}): Promise<number[]> {
  const batch = pictures.shape[0]!;
  if (captions.length !== batch) throw new ShapeError('captions', `${batch}, one per picture`, `${captions.length}`);
  const [said, seen] = [await text.encode(captions, call), await image.encode(pictures, call)];
  if (!said.pooled || !seen.pooled) throw new OptionError('CLIP text encoder', text.name, 'an encoder with a pooled output');
  const [a, b] = [await floats(said.pooled), await floats(seen.pooled)];
  if (a.length !== b.length) throw new OptionError('CLIP towers', `widths ${a.length / batch} and ${b.length / batch}`, 'two towers of one CLIP');
  const width = a.length / batch;
  return captions.map((_, i) => cosine(a.subarray(i * width, (i + 1) * width), b.subarray(i * width, (i + 1) * width)));
}
