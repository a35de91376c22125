// Paint-with-words over its strength w′ and its rules (eDiff-I, §4.3): intersection over union of the painted box and the object that came out,
// whether the object's centre is in the box, and what it costs the picture: is the object still what the judge and CLIP see?
//
//   node benchmarks/paint-iou.mjs [--prompts 12] [--seeds 4] [--steps 15] [--sheet out/paint-iou.png] [--save]
import { parseArgs } from 'node:util';
import { float32 } from '@ediffi/core';
import { judged, loadBase, loadJudge, tensorOf } from 'ediffi';
import { writeFigure } from './lib/figure.mjs';
import { foreground } from './lib/foreground.mjs';
import { judge as clipOf, mean, publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { prompts: { type: 'string', default: '12' }, seeds: { type: 'string', default: '4' }, steps: { type: 'string', default: '15' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const steps = Number(values.steps);
const OBJECTS = ['cat', 'fox', 'penguin', 'turtle', 'red apple', 'pineapple', 'burger', 'sunflower', 'rocket', 'castle', 'red heart', 'yellow star'];
const COLORS = ['blue', 'white', 'orange', 'white', 'white', 'purple', 'blue', 'blue', 'green', 'yellow', 'white', 'blue'];
/** Boxes as parts of the picture: left, top, edge. The four corners. */
const BOXES = [[0.03, 0.03], [0.53, 0.53], [0.53, 0.03], [0.03, 0.53]].map(([x, y]) => [x, y, 0.44]);
const PAPER = 'max · log(1 + σ), the paper';
/** `alone`: the object is painted and the background is not; `outside`: weight of each phrase where it is not painted, 0 in the paper. */
const RULES = [
  { name: PAPER, statistic: 'max', rule: 'log', strengths: [0.2, 0.4, 0.6, 0.8, 1, 1.3] },
  { name: PAPER, statistic: 'max', rule: 'log', outside: -0.5, strengths: [0.4, 0.6, 0.8] },
  { name: 'max · log(1 + σ²)', statistic: 'max', rule: 'log-squared', strengths: [0.2, 0.4, 0.6] },
  { name: 'std · log(1 + σ)', statistic: 'std', rule: 'log', strengths: [1, 2, 4] },
  { name: PAPER, statistic: 'max', rule: 'log', alone: true, strengths: [0.4, 0.8, 1.3] },
  { name: PAPER, statistic: 'max', rule: 'log', alone: true, outside: -0.25, strengths: [0.8] },
  { name: PAPER, statistic: 'max', rule: 'log', alone: true, outside: -0.5, strengths: [0.6, 0.8, 1] },
  { name: PAPER, statistic: 'max', rule: 'log', alone: true, outside: -1, strengths: [0.8] },
];

const model = await loadBase();
const clip = clipOf(model);
const { judge } = await loadJudge();
const size = model.parts.base.size;
const inside = ([left, top, edge], i) => {
  const [x, y] = [((i % size) + 0.5) / size, (Math.floor(i / size) + 0.5) / size];
  return x >= left && x < left + edge && y >= top && y < top + edge;
};
const jobs = OBJECTS.slice(0, Number(values.prompts)).flatMap((object, k) =>
  Array.from({ length: Number(values.seeds) }, (_, s) => ({ object, ground: `${COLORS[k]} background`, kind: object.split(' ').at(-1), prompt: `a ${object} on a ${COLORS[k]} background`, seed: 100 + s, box: BOXES[(k + s) % BOXES.length] })));

/** Overlap of the box with what stands out, whether its centre lies in the box (of a picture with no object: 0 and false), what the judge and CLIP make of it. */
async function measured(picture, { box, prompt, kind }) {
  const { distance } = foreground(picture);
  let [both, either, mass, mx, my] = [0, 0, 0, 0, 0];
  distance.forEach((v, i) => {
    const [object, painted] = [v > 0, inside(box, i)];
    both += object && painted;
    either += object || painted;
    mass += v;
    mx += v * (i % size);
    my += v * Math.floor(i / size);
  });
  const centre = Math.round(my / mass) * size + Math.round(mx / mass);
  const named = judged(judge, await judge.look(tensorOf(picture.tensor, 'picture')), { object: [kind] }).object;
  return { iou: both / either, centred: mass > 0 && inside(box, centre), named, score: await clip.score(picture, prompt) };
}

const SHOWN = 4; // objects on the sheet, with the first seed, over the strengths of the paper's rule
const cells = Array.from({ length: SHOWN }, () => []);

async function measure(rule, strength, options, alone = false) {
  const results = [];
  const shown = !alone && (!options || (rule === PAPER && options.outside === 0));
  for (const [i, job] of jobs.entries()) {
    const mask = (within) => float32(Float32Array.from({ length: size * size }, (_, i) => Number(inside(job.box, i) === within)), [size, size]);
    const regions = [{ phrase: job.object, mask: mask(true) }, ...(alone ? [] : [{ phrase: job.ground, mask: mask(false) }])];
    const picture = await model.generate(job.prompt, { seed: job.seed, steps, ...(options && { paint: { regions, strength, ...options } }) });
    results.push(await measured(picture, job));
    if (shown) cells[i / Number(values.seeds)]?.push({ picture, prompt: job.prompt, box: job.box }); // the first seed of each object: others are no whole number
  }
  process.stderr.write('.');
  return { rule, painted: options ? (alone ? 'object' : 'object, background') : '–', strength, outside: options?.outside ?? 0, iou: mean(results.map((r) => r.iou)), centred: mean(results.map((r) => r.centred)), named: mean(results.map((r) => r.named)), clip: mean(results.map((r) => r.score)) };
}

const rows = [await measure('no paint', 0)];
for (const { name, strengths, alone, ...options } of RULES) for (const strength of strengths) rows.push(await measure(name, strength, { outside: 0, ...options }, alone));
process.stderr.write('\n');
const { paint: w, outside } = model.parts.base.defaults;
await model.dispose();
await judge.dispose();
const markdown = `${table(
  ['rule', 'painted', 'w′', 'outside', 'IoU with the box', 'centre in the box', 'object named', 'CLIP score'],
  rows.map((row) => [row.rule, row.painted, row.strength, row.outside, row.iou.text, row.centred.text, row.named.text, row.clip.text]),
)}\n\n${jobs.length} pictures per row, ${steps} steps. The model's default is w′ = ${w}, outside = ${outside}.`;
console.log(markdown);
if (values.sheet) await writeFigure(values.sheet, cells.flat(), cells[0].length);
if (values.save) publish('paint-iou', markdown, { pictures: jobs.length, steps, default: { w, outside }, rows });
