// Paints the 24 fixed prompts of packages/model/prompts.json with the embedded model, one seed, none picked: packages/model/grid.png.
//
//   npm run grid [-- --seed 7 --base --out FILE]
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadBase, loadEdiffi } from '../packages/ediffi/dist/index.js';
import { writeSheet } from '../benchmarks/lib/sheet.mjs';

const { values } = parseArgs({ options: { seed: { type: 'string', default: '7' }, base: { type: 'boolean', default: false }, out: { type: 'string', default: fileURLToPath(new URL('../packages/model/grid.png', import.meta.url)) } } });
const prompts = JSON.parse(readFileSync(new URL('../packages/model/prompts.json', import.meta.url), 'utf8'));

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

writeSheet(values.out, pictures, { columns: 6, gap: 4 });
const { width: size } = pictures[0];
console.log(`${pictures.length} pictures of ${size} × ${size}, seed ${values.seed}: ${values.out}`);
