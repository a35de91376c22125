import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GeneratedImage } from '../index.js';
import { UsageError } from './io.js';

/** Writes `<place>-<word>.png` per word of the prompt and `shares.json` with each step's shares. Rejects with UsageError where it cannot. */
export async function writeAttention(picture: GeneratedImage, folder: string): Promise<void> {
  const { attention, metadata } = picture;
  if (!attention) return;
  const digits = String(attention.words.length).length;
  const shares = {
    prompt: metadata.prompt,
    seed: metadata.seed,
    words: attention.words.map(({ text, start, end, share }) => ({ text, start, end, share })),
    steps: attention.steps.map(({ index, sigma, expert, shares, words }) => ({ index, sigma, expert, shares, words })),
  };
  try {
    await mkdir(folder, { recursive: true });
    for (const [i, map] of attention.words.entries()) {
      await writeFile(join(folder, `${String(i + 1).padStart(digits, '0')}-${map.text.toLowerCase().slice(0, 40)}.png`), map.toPng());
    }
    await writeFile(join(folder, 'shares.json'), `${JSON.stringify(shares, null, 2)}\n`);
  } catch (cause) {
    throw new UsageError(`--attention: cannot write into ${folder} (${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'})`, { cause });
  }
}
