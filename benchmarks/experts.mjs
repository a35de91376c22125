// Experts against a single network at equal training samples and equal cost of a picture (eDiff-I, arXiv 2211.01324, Table 1), in the base:
// one network, besides a high-noise expert, all three. Super-resolution, its two experts included, is the same in every row.
// Three networks look at the pictures: the judge at 64 pixels, CLIP at 32, and one that was trained on ImageNet at all 256 (training/imagenet.py).
// Captions and seeds are the same in every row, so that a difference of Fréchet distances is one of the networks: its interval is by paired bootstrap.
//
// The single network is benchmarks/weights/base-single.onnx (packages/model/training/README.md, "Version 0.8"): the middle expert, trained on over all noise levels for as many
// scenes as the high-noise and the low-noise expert had seen in version 0.9 (git checkout 741b22d): the present middle expert is larger and has seen more, so that its rows
// are no equal comparison. Version 0.4.1 had a single network in super-resolution, too: its table is in docs/guide/science.md (git checkout 630c1d3).
//
//   node benchmarks/experts.mjs [--seeds 2] [--steps 25] [--sheet FILE] [--save]      # pictures per row: seeds × 256 captions; --sheet: the first fixed prompts, a row of pictures per row
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { floats, precondition, sessionNetwork } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { bootstrap, frechetFrom, judged, loadEdiffi, loadJudge, momentsOf, tensorOf } from 'ediffi';
import { openImagenet } from './lib/imagenet.mjs';
import { mean, prompts, publish, table } from './lib/science.mjs';
import { writeSheet } from './lib/sheet.mjs';

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '2' }, steps: { type: 'string', default: '25' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const [seeds, steps] = [Number(values.seeds), Number(values.steps)];
const KINDS = ['judge', 'clip-image', 'imagenet'];
const weights = new URL('weights/', import.meta.url);

const backend = ortNode({ threads: 2 });
const model = await loadEdiffi({ backend });
const { judge, set } = await loadJudge({ backend });
const image = model.parts.imageEncoder;
const card = JSON.parse(readFileSync(new URL('../packages/model/card.json', import.meta.url), 'utf8'));

const imagenet = await openImagenet(backend, set);

/** The network of all noise levels, in the place of an expert: of its guidance, too, so that a picture costs the same. */
async function single(name) {
  const { sigmaData, sigmaMin, sigmaMax, cNoise: noise } = card.stages[0];
  const session = await backend.load({ name, bytes: () => readFile(new URL(`${name}.onnx`, weights)) });
  return precondition(sessionNetwork(session), { sigmaData, sigmaMin, sigmaMax, noise });
}
const one = await single('base-single');
const ROWS = [
  { name: 'one network', experts: { high: one, middle: one, low: one } },
  { name: 'and one for high noise', experts: { middle: one, low: one } },
  { name: 'three: high, middle and low noise', experts: {} },
];

const [first, second] = [set.real, set.again].map((features, i) => ({ ...features, imagenet: i ? imagenet.again : imagenet.real }));
const real = Object.fromEntries(KINDS.map((kind) => [kind, { width: first[kind].width, data: [...first[kind].data, ...second[kind].data] }]));
const SHOWN = 8;
const shown = [];
const rows = [];
for (const { name, experts } of ROWS) {
  const painter = model.with({ experts });
  const features = Object.fromEntries(KINDS.map((kind) => [kind, []]));
  const named = [];
  for (let seed = 0; seed < seeds; seed++) {
    for (const [i, scene] of set.scenes.entries()) {
      const { tensor } = await painter.generate(scene.caption, { seed: 100_000 * seed + i, steps });
      const picture = tensorOf(tensor, 'picture');
      const verdicts = await judge.look(picture);
      features.judge.push(verdicts.features);
      features['clip-image'].push(await floats((await image.encode(picture)).pooled));
      features.imagenet.push(await imagenet.look(picture));
      if (scene.asked.object?.length === 1) named.push(judged(judge, verdicts, scene.asked).object);
    }
  }
  if (values.sheet) for (const prompt of prompts.slice(0, SHOWN)) shown.push(await painter.generate(prompt, { seed: 7, steps }));
  await painter.dispose(); // of what the variant loaded anew: not of the model
  rows.push({ name, features, named });
  process.stderr.write('.');
}
process.stderr.write('\n');
if (values.sheet) writeSheet(values.sheet, shown, { columns: SHOWN, gap: 4, shrink: 2 });
await model.dispose();
await judge.dispose();
await imagenet.dispose();
await backend.dispose();

/** Fréchet distance of some pictures of a row. */
const far = Object.fromEntries(KINDS.map((kind) => [kind, frechetFrom(momentsOf(real[kind]))]));
const distance = (row, kind, chosen) => far[kind](momentsOf({ width: real[kind].width, data: Float64Array.from(chosen.flatMap((i) => [...row.features[kind][i]])) }));
const count = seeds * set.scenes.length;
const all = Array.from({ length: count }, (_, i) => i);
const DRAWS = 200;
const found = rows.map((row) => {
  const better = (kind) => bootstrap(count, (chosen) => distance(rows[0], kind, chosen) - distance(row, kind, chosen), { draws: DRAWS });
  return { name: row.name, named: mean(row.named), ...Object.fromEntries(KINDS.map((kind) => [kind, { frechet: distance(row, kind, all), better: row === rows[0] ? undefined : better(kind) }])) };
});
const gain = (b) => (b ? `${b.value.toFixed(2)} (${b.low.toFixed(2)}–${b.high.toFixed(2)})` : '–');
const between = (a, b) => frechetFrom(momentsOf(a))(momentsOf(b)).toFixed(2);
const markdown = `${table(
  ['experts', ...['judge’s features, 64 px', 'CLIP’s, 32 px', 'ImageNet’s, 256 px'].flatMap((name) => [`Fréchet distance, ${name}`, 'better than the first by']), 'object of one'],
  found.map((row) => [row.name, ...KINDS.flatMap((kind) => [row[kind].frechet.toFixed(2), gain(row[kind].better)]), row.named.text]),
)}

${count} pictures per row, ${steps} steps, 256 × 256 pixels, the same captions and seeds in every row, against ${2 * set.scenes.length} real pictures of the same scenes; intervals by paired bootstrap, ${DRAWS} draws. Between two sets of ${set.scenes.length} real pictures: ${KINDS.map((kind) => between(first[kind], second[kind])).join(', ')}; ImageNet’s features when one of them is shrunk to 128 pixels and enlarged again: ${between(first.imagenet, imagenet.halved)}.`;
console.log(markdown);
if (values.save) publish('experts', markdown, { seeds, steps, rows: found });
