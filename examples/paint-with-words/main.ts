// Paint with words: a coloured canvas says where the words of the prompt shall be. Same prompt and seed, canvas mirrored: the object moves.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePng, loadEdiffi, type Picture } from 'ediffi';

const assets = new URL('../assets/', import.meta.url);

/** The canvas seen in a mirror. */
function mirrored({ width, height, data }: Picture): Picture {
  const flipped = new Uint8Array(data.length);
  for (let i = 0; i < width * height; i++) {
    const x = i % width;
    flipped.set(data.subarray(4 * (i - x + width - 1 - x), 4 * (i - x + width - x)), 4 * i);
  }
  return { width, height, data: flipped };
}

/** Paints "a red car on the beach" with the car on the right, then on the left; answers with the two paths. */
export async function main(folder = 'out', steps = 25): Promise<string[]> {
  const canvas = decodePng(new Uint8Array(await readFile(new URL('scene.png', assets))));
  const colors = JSON.parse(await readFile(new URL('scene.json', assets), 'utf8')) as Record<string, string>;
  const ediffi = await loadEdiffi();
  try {
    await mkdir(folder, { recursive: true });
    const paths: string[] = [];
    for (const [side, scene] of [['right', canvas], ['left', mirrored(canvas)]] as const) {
      const picture = await ediffi.generate('a red car on the beach', { seed: 7, steps, paint: { canvas: scene, colors } });
      const path = join(folder, `car-${side}.png`);
      await writeFile(path, picture.toPng());
      paths.push(path);
    }
    return paths;
  } finally {
    await ediffi.dispose();
  }
}
