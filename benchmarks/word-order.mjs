// Do attributes stay with their nouns when the clauses of a prompt change places? A coloured object on a coloured background, judged by pixels:
// the background's colour, and the colour that most of the object has, each as the nearest of the named ones by hue.
//
//   node benchmarks/word-order.mjs [--seeds 2] [--steps 15] [--sheet out/word-order.png] [--save]
import { parseArgs } from 'node:util';
import { loadBase } from 'ediffi';
import { writeFigure } from './lib/figure.mjs';
import { foreground } from './lib/foreground.mjs';
import { mean, publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '2' }, steps: { type: 'string', default: '15' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const steps = Number(values.steps);
const HUES = { red: 0, yellow: 48, green: 122, blue: 216, purple: 277 }; // degrees
const PAIRS = [['red', 'blue'], ['blue', 'yellow'], ['green', 'purple'], ['yellow', 'green'], ['purple', 'yellow'], ['blue', 'red']];
const OBJECTS = ['apple', 'car', 'house', 'star', 'heart'];
const ORDERS = {
  'object first': (a, object, b) => `a ${a} ${object} on a ${b} background`,
  'background first': (a, object, b) => `on a ${b} background a ${a} ${object}`,
  'background first, with a comma': (a, object, b) => `on a ${b} background, a ${a} ${object}`,
  'background with object': (a, object, b) => `a ${b} background with a ${a} ${object}`,
};

/** The named colour nearest in hue, or undefined for greys. */
function named([r, g, b]) {
  const [high, low] = [Math.max(r, g, b), Math.min(r, g, b)];
  if (high - low < 40) return undefined;
  const sector = high === r ? (g - b) / (high - low) : high === g ? 2 + (b - r) / (high - low) : 4 + (r - g) / (high - low);
  const hue = (60 * sector + 360) % 360;
  const away = (other) => Math.min(Math.abs(hue - other), 360 - Math.abs(hue - other));
  return Object.entries(HUES).reduce((best, entry) => (away(entry[1]) < away(best[1]) ? entry : best))[0];
}

/** Colours of background and object: what most pixels that stand out have. */
function colours(picture) {
  const { distance, background } = foreground(picture);
  const votes = new Map();
  distance.forEach((v, i) => {
    const name = v > 0 ? named([...picture.data.subarray(3 * i, 3 * i + 3)]) : undefined;
    if (name) votes.set(name, (votes.get(name) ?? 0) + 1);
  });
  return { background: named(background), object: [...votes].sort((a, b) => b[1] - a[1])[0]?.[0] };
}

const model = await loadBase();
const rows = [];
const cells = [];
for (const [order, write] of Object.entries(ORDERS)) {
  const [object, background, swapped] = [[], [], []];
  for (const [i, thing] of OBJECTS.entries()) {
    for (const [a, b] of [PAIRS[i % PAIRS.length], PAIRS[(i + 3) % PAIRS.length]]) {
      const prompt = write(a, thing, b);
      for (const [k, picture] of (await model.generate(prompt, { seed: 1, count: Number(values.seeds), steps })).entries()) {
        if (k === 0) cells.push({ picture, prompt });
        const found = colours(picture);
        object.push(found.object === a);
        background.push(found.background === b);
        swapped.push(found.object === b && found.background === a);
      }
    }
  }
  rows.push({ order, example: write('red', 'apple', 'blue'), object: mean(object), background: mean(background), both: mean(object.map((v, i) => v && background[i])), swapped: mean(swapped) });
  process.stderr.write('.');
}
process.stderr.write('\n');
await model.dispose();
const markdown = `${table(['prompt', 'object’s colour', 'background’s colour', 'both right', 'exchanged'], rows.map((row) => [`“${row.example}”`, row.object.text, row.background.text, row.both.text, row.swapped.text]))}\n\n${rows[0].object.n} pictures per row, ${steps} steps.`;
console.log(markdown);
if (values.sheet) await writeFigure(values.sheet, cells, 2 * OBJECTS.length);
if (values.save) publish('word-order', markdown, { steps, rows });
