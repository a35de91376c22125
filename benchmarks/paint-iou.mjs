// Paint-with-words over its strength w′ and its rules (eDiff-I, §4.3): intersection over union of the painted box and the object that came out,
// whether the object's centre is in the box, and what it costs the picture.
//
//   node benchmarks/paint-iou.mjs [--prompts 12] [--seeds 1] [--steps 15] [--save]
import { parseArgs } from 'node:util';
import { float32 } from '@ediffi/core';
import { loadBase } from 'ediffi';
import { foreground } from './lib/foreground.mjs';
import { judge, mean, publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { prompts: { type: 'string', default: '12' }, seeds: { type: 'string', default: '1' }, steps: { type: 'string', default: '15' }, save: { type: 'boolean', default: false } } });
const steps = Number(values.steps);
const OBJECTS = ['cat', 'red apple', 'penguin', 'yellow star', 'red car', 'blue house', 'frog', 'red heart', 'panda', 'banana', 'rocket', 'pig'];
const COLORS = ['blue', 'white', 'orange', 'blue', 'white', 'white', 'white', 'white', 'green', 'purple', 'green', 'white'];
/** Boxes as parts of the picture: left, top, edge. The four corners. */
const BOXES = [[0.03, 0.03], [0.53, 0.53], [0.53, 0.03], [0.03, 0.53]].map(([x, y]) => [x, y, 0.44]);
const RULES = [
  { name: 'max · log(1 + σ), the paper', statistic: 'max', rule: 'log', strengths: [0.2, 0.4, 0.6, 0.8, 1] },
  { name: 'the same, object alone painted', statistic: 'max', rule: 'log', alone: true, strengths: [0.4, 1] },
  { name: 'max · log(1 + σ²)', statistic: 'max', rule: 'log-squared', strengths: [0.2, 0.4, 0.6] },
  { name: 'std · log(1 + σ)', statistic: 'std', rule: 'log', strengths: [1, 2, 4] },
  { name: 'max · log(1 + σ), kept away outside', statistic: 'max', rule: 'log', outside: -0.5, strengths: [0.4, 0.6] },
];

const model = await loadBase();
const clip = judge(model);
const size = model.parts.base.size;
const inside = ([left, top, edge], i) => {
  const [x, y] = [((i % size) + 0.5) / size, (Math.floor(i / size) + 0.5) / size];
  return x >= left && x < left + edge && y >= top && y < top + edge;
};
const jobs = OBJECTS.slice(0, Number(values.prompts)).flatMap((object, k) =>
  Array.from({ length: Number(values.seeds) }, (_, s) => ({ object, ground: `${COLORS[k]} background`, prompt: `a ${object} on a ${COLORS[k]} background`, seed: 100 + s, box: BOXES[(k + s) % BOXES.length] })));

/** Overlap of the box with what stands out, whether its centre lies in the box, and CLIP's score; a picture with no object scores 0 and 0. */
async function judged(picture, { box, prompt }) {
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
  return { iou: both / either, centred: mass > 0 && inside(box, centre), score: await clip.score(picture, prompt) };
}

async function measure(name, strength, options, alone = false) {
  const results = [];
  for (const job of jobs) {
    const mask = (within) => float32(Float32Array.from({ length: size * size }, (_, i) => Number(inside(job.box, i) === within)), [size, size]);
    const regions = [{ phrase: job.object, mask: mask(true) }, ...(alone ? [] : [{ phrase: job.ground, mask: mask(false) }])];
    results.push(await judged(await model.generate(job.prompt, { seed: job.seed, steps, ...(options && { paint: { regions, strength, ...options } }) }), job));
  }
  process.stderr.write('.');
  return { rule: name, strength, iou: mean(results.map((r) => r.iou)), centred: mean(results.map((r) => r.centred)), clip: mean(results.map((r) => r.score)) };
}

const rows = [await measure('no paint', 0)];
for (const { name, strengths, alone, ...options } of RULES) for (const strength of strengths) rows.push(await measure(name, strength, { outside: 0, ...options }, alone));
process.stderr.write('\n');
const chosen = model.parts.base.defaults.paint;
await model.dispose();
const best = rows.reduce((a, b) => (b.iou.mean > a.iou.mean ? b : a));
const markdown = `${table(['rule', 'w′', 'IoU with the box', 'centre in the box', 'CLIP score'], rows.map((row) => [row.rule, row.strength, row.iou.text, row.centred.text, row.clip.text]))}\n\n${jobs.length} pictures per row, ${steps} steps. Highest IoU: ${best.rule}, w′ = ${best.strength}; the model's default is w′ = ${chosen}.`;
console.log(markdown);
if (values.save) publish('paint-iou', markdown, { pictures: jobs.length, steps, default: chosen, rows });
