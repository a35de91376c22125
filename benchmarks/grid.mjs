// Paints the 24 fixed prompts of packages/model/prompts.json with the embedded model, one seed, none picked: packages/model/grid.png.
// With --objects, every object it knows, on grass, at half size: docs/images/objects.png.
// With --best-of, each is the best of so many by CLIP, from the seed on: docs/images/best-of.png.
//
//   npm run grid [-- --objects --best-of 6 --seed 7 --base --out FILE]
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bestOf, loadBase, loadEdiffi } from 'ediffi';
import { oneOf, prompts as fixed } from './lib/science.mjs';
import { writeSheet } from './lib/sheet.mjs';

const { values } = parseArgs({ options: { objects: { type: 'boolean', default: false }, 'best-of': { type: 'string', default: '1' }, seed: { type: 'string', default: '7' }, base: { type: 'boolean', default: false }, out: { type: 'string' } } });
const [seed, candidates] = [Number(values.seed), Number(values['best-of'])];
const { words } = JSON.parse(readFileSync(new URL('../packages/model/card.json', import.meta.url), 'utf8'));
const { prompts, sheet, path } = values.objects
  ? { prompts: words.objects.map((object) => `${oneOf(object)} on green grass`), sheet: { columns: 8, gap: 4, shrink: 2 }, path: '../docs/images/objects.png' }
  : { prompts: fixed, sheet: { columns: 6, gap: 4 }, path: candidates > 1 ? '../docs/images/best-of.png' : '../packages/model/grid.png' };
const out = values.out ?? fileURLToPath(new URL(path, import.meta.url));

const model = await (values.base ? loadBase() : loadEdiffi());
const pictures = [];
for (const prompt of prompts) {
  const picture = candidates > 1 ? (await bestOf(model, prompt, { seed, candidates }).finish()).picture : await model.generate(prompt, { seed });
  for (const warning of picture.warnings) console.warn(`${prompt}: ${warning.message}`);
  pictures.push(picture);
  process.stderr.write('.');
}
process.stderr.write('\n');
await model.dispose();

writeSheet(out, pictures, sheet);
const { width: size } = pictures[0];
console.log(`${pictures.length} pictures of ${size} × ${size}, seed ${seed}${candidates > 1 ? `, the best of ${candidates} by CLIP` : ''}: ${out}`);
