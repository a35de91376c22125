// Does the object follow the paint? Same prompt and seed; a canvas of two colours, the object's phrase on one half and the background's
// phrase on the other, then mirrored; the object's phrase alone on one half; and no paint at all.
//
//   node benchmarks/paint-follows.mjs [--prompts 16] [--seeds 2] [--strength 0.6] [--sheet out/paint.png]
//
// Prompts are on plain backgrounds, so that where the object landed can be measured without any model (lib/foreground.mjs); its centroid decides.
// "Lands in the painted half" without paint is measured on the very same pictures against both halves, which makes it 50 % by symmetry
// when the object can be found; it is printed all the same, as is the share of pictures where nothing stands out from the background.
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadBase } from 'ediffi';
import { float32 } from '@ediffi/core';
import { objectCentre } from './lib/foreground.mjs';
import { oneOf } from './lib/science.mjs';
import { writeSheet } from './lib/sheet.mjs';
import { stamp } from './stamp.mjs';

const { values } = parseArgs({ options: { prompts: { type: 'string', default: '16' }, seeds: { type: 'string', default: '2' }, strength: { type: 'string' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const OBJECTS = ['cat', 'fox', 'cow', 'penguin', 'turtle', 'butterfly', 'red apple', 'pineapple', 'burger', 'sunflower', 'tree', 'rocket', 'castle', 'red heart', 'blue gift', 'alien']; // every fourth of the model's
const COLORS = ['blue', 'white', 'blue', 'orange', 'white', 'white', 'white', 'purple', 'blue', 'blue', 'white', 'green', 'yellow', 'white', 'white', 'white'];
const SIZE = 32;
const prompts = OBJECTS.slice(0, Number(values.prompts)).map((object, i) => ({ object, ground: `${COLORS[i]} background`, text: `${oneOf(object)} on a ${COLORS[i]} background` }));
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => 100 + i);

const half = (side) => float32(Float32Array.from({ length: SIZE * SIZE }, (_, i) => Number(side === 'left' ? i % SIZE < SIZE / 2 : i % SIZE >= SIZE / 2)), [SIZE, SIZE]);
const pipeline = await loadBase();
const strength = values.strength === undefined ? pipeline.parts.base.defaults.paint : Number(values.strength);
const rows = [];
const pictures = [];
for (const { object, ground, text } of prompts) {
  const plain = await pipeline.generate(text, { seed: seeds });
  const painted = {};
  const alone = {};
  for (const [side, other] of [['left', 'right'], ['right', 'left']]) {
    const region = { phrase: object, mask: half(side) };
    painted[side] = await pipeline.generate(text, { seed: seeds, paint: { regions: [region, { phrase: ground, mask: half(other) }], strength } });
    alone[side] = await pipeline.generate(text, { seed: seeds, paint: { regions: [region], strength } });
  }
  seeds.forEach((seed, i) => {
    const centres = (of) => ({ left: objectCentre(of.left[i]), right: objectCentre(of.right[i]) });
    rows.push({ text, seed, plain: objectCentre(plain[i]), painted: centres(painted), alone: centres(alone) });
    pictures.push([plain[i], painted.left[i], painted.right[i]]);
  });
  process.stderr.write('.');
}
process.stderr.write('\n');
await pipeline.dispose();

const share = (hits, of) => ({ hits, of, share: Number((hits / of).toFixed(3)) });
const lands = (centre, side) => centre !== undefined && (side === 'left' ? centre < 0.5 : centre > 0.5);
const count = (n) => share(n, 2 * rows.length);
const landed = (kind) => count(rows.reduce((n, r) => n + lands(r[kind].left, 'left') + lands(r[kind].right, 'right'), 0));
const shift = (kind) => {
  const moves = rows.filter((r) => r[kind].left !== undefined && r[kind].right !== undefined).map((r) => r[kind].right - r[kind].left);
  return Number((moves.reduce((a, b) => a + b, 0) / moves.length).toFixed(3));
};
const result = {
  ...stamp(), pairs: rows.length, strength,
  inPaintedHalf: { twoColours: landed('painted'), objectAlone: landed('alone'), noPaint: count(rows.reduce((n, r) => n + lands(r.plain, 'left') + lands(r.plain, 'right'), 0)) },
  bothWays: share(rows.filter((r) => lands(r.painted.left, 'left') && lands(r.painted.right, 'right')).length, rows.length),
  meanShift: { twoColours: shift('painted'), objectAlone: shift('alone') },
  nothingFound: rows.reduce((n, r) => n + [r.plain, r.painted.left, r.painted.right].filter((c) => c === undefined).length, 0),
};
console.log(JSON.stringify(result, null, 2));
if (values.save) mkdirSync(new URL('results/', import.meta.url), { recursive: true });
if (values.save) writeFileSync(new URL('results/paint-follows.json', import.meta.url), `${JSON.stringify({ ...result, rows }, null, 2)}\n`);

if (values.sheet) writeSheet(values.sheet, pictures.flat(), { columns: 24, gap: 1 }); // eight triples per row
