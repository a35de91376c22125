// Figures of docs/guide/science.md: pictures of the base stage, finished by the super-resolution stages, side by side.
import { loadEdiffi, rgbaOf } from 'ediffi';
import { writeSheet } from './sheet.mjs';

const NOTHING = 0.01; // share of the schedule of the base that is run on a picture: less than a step, so that the picture stays what it is

/** Draws the edge of a square, white within black; `[left, top, edge]` in shares of the picture. */
function outlined({ width, height, data }, [left, top, edge]) {
  const drawn = Uint8Array.from(data);
  const [x0, y0, x1, y1] = [left, top, left + edge, top + edge].map((v) => Math.round(v * width));
  for (const [inset, level] of [[0, 0], [1, 0], [2, 255], [3, 255]]) {
    for (let i = x0 + inset; i < x1 - inset; i++) for (const y of [y0 + inset, y1 - 1 - inset]) drawn.fill(level, 4 * (y * width + i), 4 * (y * width + i) + 3);
    for (let i = y0 + inset; i < y1 - inset; i++) for (const x of [x0 + inset, x1 - 1 - inset]) drawn.fill(level, 4 * (i * width + x), 4 * (i * width + x) + 3);
  }
  return { width, height, data: drawn };
}

/** Writes pictures of the base stage, `{ picture, prompt, box? }`, at 128 pixels in rows of `columns`; `box`: a square to be drawn into it. */
export async function writeFigure(path, cells, columns) {
  const ediffi = await loadEdiffi();
  const finished = [];
  for (const { picture, prompt, box } of cells) {
    const large = rgbaOf(await ediffi.generate(prompt, { seed: 7, image: picture, strength: NOTHING }), 'picture');
    finished.push(box ? outlined(large, box) : large);
  }
  await ediffi.dispose();
  writeSheet(path, finished, { columns, gap: 4, shrink: 2 });
}
