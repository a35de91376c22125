// Paints the 24 fixed prompts of packages/model/prompts.json with the embedded model, one seed, none picked: packages/model/grid.png.
//
//   npm run grid [-- --seed 7 --base --out FILE]
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encodePng, loadBase, loadEdiffi } from '../packages/ediffi/dist/index.js';

const { values } = parseArgs({ options: { seed: { type: 'string', default: '7' }, base: { type: 'boolean', default: false }, out: { type: 'string', default: fileURLToPath(new URL('../packages/model/grid.png', import.meta.url)) } } });
const prompts = JSON.parse(readFileSync(new URL('../packages/model/prompts.json', import.meta.url), 'utf8'));
const COLUMNS = 6;
const GAP = 4;

const model = await (values.base ? loadBase() : loadEdiffi());
const pictures = [];
for (const { prompt } of prompts) {
  const picture = await model.generate(prompt, { seed: Number(values.seed) });
  for (const warning of picture.warnings) console.warn(`${prompt}: ${warning.message}`);
  pictures.push(picture);
  process.stderr.write('.');
}
process.stderr.write('\n');
await model.dispose();

/** Pictures of one size side by side on white. */
const { width: size } = pictures[0];
const [width, height] = [COLUMNS * (size + GAP) - GAP, Math.ceil(pictures.length / COLUMNS) * (size + GAP) - GAP];
const data = new Uint8Array(width * height * 3).fill(255);
pictures.forEach((picture, k) => {
  const [x0, y0] = [(k % COLUMNS) * (size + GAP), Math.floor(k / COLUMNS) * (size + GAP)];
  for (let y = 0; y < size; y++) data.set(picture.data.subarray(3 * y * size, 3 * (y + 1) * size), 3 * ((y0 + y) * width + x0));
});
writeFileSync(values.out, encodePng({ width, height, data }));
console.log(`${pictures.length} pictures of ${size} × ${size}, seed ${values.seed}: ${values.out}`);
