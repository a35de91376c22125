// Experts against a single network at equal training samples and equal cost of a picture (eDiff-I, arXiv 2211.01324, Table 1). For this, bases were trained apart
// (packages/model/training/experts.sh; files in benchmarks/weights), with a third of the parameters of the embedded low-noise expert in each network: from one root a single network of all noise
// levels, and three experts that together saw as many scenes. Encoders and how a picture is sampled are the embedded model's.
//
// 32 × 32 pixels, the base alone: the judge's features (enlarged to 64), and CLIP's. Captions and seeds are the same in every row, so that a difference of Fréchet distances is one of
// the networks: its interval is by paired bootstrap.
//
//   node benchmarks/experts.mjs [--seeds 8] [--steps 12] [--guidance NUMBER] [--sheet FILE] [--save]      # pictures per row: seeds × 256 captions; --sheet: the first fixed prompts at 256 pixels, a row of pictures per row
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { floats, precondition, sessionNetwork } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { bootstrap, frechetFrom, judged, loadEdiffi, loadJudge, momentsOf, tensorOf } from 'ediffi';
import { estimate, mean, prompts, publish, table } from './lib/science.mjs';
import { writeSheet } from './lib/sheet.mjs';

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '8' }, steps: { type: 'string', default: '12' }, guidance: { type: 'string' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const [seeds, steps] = [Number(values.seeds), Number(values.steps)];
const guidance = values.guidance === undefined ? {} : { guidance: Number(values.guidance) };
const weights = new URL('weights/', import.meta.url);
const { sigmaData, sigmaMin, sigmaMax, cNoise: noise } = JSON.parse(readFileSync(new URL('../packages/model/card.json', import.meta.url), 'utf8')).stages.find(({ name }) => name === 'base');

const ROWS = [
  { name: 'one network', files: { high: 'base-single', middle: 'base-single', low: 'base-single' } },
  { name: 'three: high, middle and low noise', files: { high: 'base-high', middle: 'base-middle', low: 'base-low' } },
];

/** The embedded model on one thread, in which networks of benchmarks/weights take the places of experts: of their guidance, too, so that a picture costs the same in every row. */
async function openPainter() {
  const backend = ortNode({ threads: 1 });
  const model = await loadEdiffi({ backend });
  const loaded = new Map();
  const network = async (file) => {
    const session = await backend.load({ name: file, bytes: () => readFile(new URL(`${file}.onnx`, weights)) });
    return precondition(sessionNetwork(session), { sigmaData, sigmaMin, sigmaMax, noise });
  };
  const once = (file) => loaded.get(file) ?? (loaded.set(file, network(file)), loaded.get(file));
  return {
    image: model.parts.imageEncoder,
    of: async (files) => model.with({ experts: Object.fromEntries(await Promise.all(Object.entries(files).map(async ([name, file]) => [name, await once(file)]))) }),
    dispose: async () => { await model.dispose(); await backend.dispose(); },
  };
}

const backend = ortNode({ threads: 1 });
const { judge, set } = await loadJudge({ backend });
const painters = [await openPainter(), await openPainter()]; // a picture at a time on each core
const KINDS = ['judge', 'clip-image'];

/** Paints captions × seeds with a row's networks and keeps what is seen: { name, features by kind, one per picture in the order of seeds and captions; named: of single objects, whether the judge named it }. */
async function painted({ name, files }) {
  const jobs = Array.from({ length: seeds * set.scenes.length }, (_, k) => ({ k, scene: set.scenes[k % set.scenes.length], seed: 100_000 * Math.floor(k / set.scenes.length) + (k % set.scenes.length) }));
  const features = Object.fromEntries(KINDS.map((kind) => [kind, new Array(jobs.length)]));
  const named = [];
  const left = jobs.values(); // each painter takes the next
  await Promise.all(painters.map(async (opened) => {
    const painter = await opened.of(files);
    for (const { k, scene, seed } of left) {
      const { tensor } = await painter.generate(scene.caption, { seed, steps, ...guidance, upscale: false });
      const picture = tensorOf(tensor, 'picture');
      const verdicts = await judge.look(picture);
      features.judge[k] = verdicts.features;
      features['clip-image'][k] = await floats((await opened.image.encode(picture)).pooled);
      if (scene.asked.object?.length === 1) named[k] = judged(judge, verdicts, scene.asked).object;
    }
    await painter.dispose(); // of what the variant loaded anew: not of the model
  }));
  process.stderr.write('.');
  return { name, features, named: named.filter((verdict) => verdict !== undefined) };
}

const DRAWS = 200;

/** Fréchet distances of rows from the real pictures of both sets, and by how much each is nearer than the first row. */
function compared(rows) {
  const count = seeds * set.scenes.length;
  const all = Array.from({ length: count }, (_, i) => i);
  const far = Object.fromEntries(KINDS.map((kind) => [kind, frechetFrom(momentsOf({ width: set.real[kind].width, data: [...set.real[kind].data, ...set.again[kind].data] }))]));
  const distance = (row, kind, chosen) => far[kind](momentsOf({ width: set.real[kind].width, data: Float64Array.from(chosen.flatMap((i) => [...row.features[kind][i]])) }));
  const better = (row, kind) => bootstrap(count, (chosen) => distance(rows[0], kind, chosen) - distance(row, kind, chosen), { draws: DRAWS });
  const of = (row, kind) => ({ frechet: distance(row, kind, all), ...(row !== rows[0] && { better: better(row, kind) }) });
  return rows.map((row) => ({ name: row.name, pictures: count, named: mean(row.named), ...Object.fromEntries(KINDS.map((kind) => [kind, of(row, kind)])) }));
}

const rows = [];
for (const row of ROWS) rows.push(await painted(row));
const found = compared(rows);

if (values.sheet) {
  const [columns, shown] = [8, []];
  for (const { files } of ROWS) {
    const painter = await painters[0].of(files);
    for (const prompt of prompts.slice(0, columns)) shown.push(await painter.generate(prompt, { seed: 7, steps, ...guidance }));
    await painter.dispose();
  }
  writeSheet(values.sheet, shown, { columns, gap: 4, shrink: 2 });
}
for (const part of [...painters, judge, backend]) await part.dispose();

const gain = (b) => (b ? estimate(b, 2) : '–');
const between = (kind) => frechetFrom(momentsOf(set.real[kind]))(momentsOf(set.again[kind])).toFixed(2);
const markdown = `${table(
  ['experts', 'Fréchet distance, judge’s features, 64 px', 'better than one by', 'Fréchet distance, CLIP’s, 32 px', 'better than one by', 'object of one'],
  found.map((row) => [row.name, ...KINDS.flatMap((kind) => [row[kind].frechet.toFixed(2), gain(row[kind].better)]), row.named.text]),
)}

${found[0].pictures} pictures per row, ${steps} steps, 32 × 32 pixels, the same captions and seeds in every row, against ${2 * set.scenes.length} real pictures of the same scenes; intervals by paired bootstrap, ${DRAWS} draws. Between two sets of ${set.scenes.length} real pictures: ${KINDS.map(between).join(', ')}.`;
console.log(markdown);
if (values.save) publish('experts', markdown, { seeds, steps, rows: found });
