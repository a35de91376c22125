// Pictures of one size side by side on white, as a PNG file: what the figures of the guide and of the model card are.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { encodePng, rgbaOf } from 'ediffi';

/** Writes `inputs` (pictures, anything that rgbaOf reads, all square and of one size) in rows of `columns`, `gap` white pixels apart, each shrunk by the whole number `shrink`. */
export function writeSheet(path, inputs, { columns, gap = 0, shrink = 1 }) {
  const pictures = inputs.map((input) => rgbaOf(input, 'picture'));
  const from = pictures[0].width;
  const size = from / shrink;
  const [width, height] = [columns, Math.ceil(pictures.length / columns)].map((n) => n * (size + gap) - gap);
  const data = new Uint8Array(width * height * 3).fill(255);
  pictures.forEach(({ data: pixels }, k) => {
    const [left, top] = [(k % columns) * (size + gap), Math.floor(k / columns) * (size + gap)];
    for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) for (let c = 0; c < 3; c++) {
      let sum = 0;
      for (let i = 0; i < shrink ** 2; i++) sum += pixels[((y * shrink + Math.floor(i / shrink)) * from + x * shrink + (i % shrink)) * 4 + c];
      data[((top + y) * width + left + x) * 3 + c] = sum / shrink ** 2;
    }
  });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, encodePng({ data, width, height }));
}
