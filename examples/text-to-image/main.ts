// Ten lines to paste into an app: a prompt in, a PNG out, with progress on the way.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadEdiffi } from 'ediffi';

/** Paints a prompt into `folder` and answers with the file's path. */
export async function main(prompt = 'a panda in the snow', folder = 'out', steps = 25): Promise<string> {
  const ediffi = await loadEdiffi();
  try {
    const painting = ediffi.stream(prompt, { seed: 7, steps });
    for await (const { stage, expert, sigma, index, count } of painting) {
      process.stderr.write(`\r${index + 1}/${count} ${stage} ${expert} σ ${sigma.toFixed(2)}   `);
    }
    const picture = await painting.finish();
    for (const { message } of picture.warnings) process.stderr.write(`\nnote: ${message}\n`);
    await mkdir(folder, { recursive: true });
    const path = join(folder, 'text-to-image.png');
    await writeFile(path, picture.toPng());
    return path;
  } finally {
    await ediffi.dispose();
  }
}
