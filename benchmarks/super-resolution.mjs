// What super-resolution adds to the same base pictures: distance to real pictures of 256 pixels, for networks and numbers of steps.
// Features of a network trained on ImageNet that sees all 256 pixels (packages/model/training/imagenet.py); captions and seeds are the same in every row,
// so that a difference is one of super-resolution: intervals by paired bootstrap.
// The base must be the same in every row, so that --before is a model with this one's base: version 0.8 has it.
//
//   git worktree add /tmp/before 72e5141
//   node benchmarks/super-resolution.mjs --before /tmp/before/packages/model [--count 128] [--steps 25] [--save]      # --before: the model of version 0.8
import { parseArgs } from 'node:util';
import { ortNode } from '@ediffi/backends/ort-node';
import { bootstrap, frechetFrom, loadEdiffi, loadJudge, momentsOf, tensorOf } from 'ediffi';
import { openImagenet } from './lib/imagenet.mjs';
import { publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { before: { type: 'string' }, count: { type: 'string', default: '128' }, steps: { type: 'string', default: '25' }, save: { type: 'boolean', default: false } } });
const [count, steps] = [Number(values.count), Number(values.steps)];
const DRAWS = 100;
const first = ({ width, data }) => ({ width, data: data.slice(0, width * count) });

const backend = ortNode({ threads: 2 });
const { judge, set } = await loadJudge({ backend });
await judge.dispose();
const imagenet = await openImagenet(backend, set);

const ROWS = [
  ...(values.before === undefined ? [] : [{ folder: values.before, sr1: 2 }]),
  ...[2, 4, 8].map((sr1) => ({ sr1 })),
];
const far = frechetFrom(momentsOf(first(imagenet.real)));
const rows = [];
for (const { folder, sr1 } of ROWS) {
  const model = await loadEdiffi({ backend, ...(folder !== undefined && { folder }) });
  const features = [];
  for (let i = 0; i < count; i++) {
    const { tensor } = await model.generate(set.scenes[i].caption, { seed: i, steps, stages: { sr1: { steps: sr1 } } });
    features.push(await imagenet.look(tensorOf(tensor, 'picture')));
  }
  await model.dispose();
  rows.push({ name: `version ${Object.values(model.parts.versions)[0]}, ${sr1} steps`, features });
  process.stderr.write('.');
}
process.stderr.write('\n');
await imagenet.dispose();
await backend.dispose();

const { width } = imagenet.real;
const distance = (row, chosen) => far(momentsOf({ width, data: Float64Array.from(chosen.flatMap((i) => [...row.features[i]])) }));
const all = Array.from({ length: count }, (_, i) => i);
const found = rows.map((row) => ({ name: row.name, frechet: distance(row, all), better: row === rows[0] ? undefined : bootstrap(count, (chosen) => distance(rows[0], chosen) - distance(row, chosen), { draws: DRAWS }) }));
const gain = (b) => (b ? `${b.value.toFixed(1)} (${b.low.toFixed(1)}–${b.high.toFixed(1)})` : '–');
const markdown = `${table(['first stage', 'Fréchet distance, ImageNet’s features, 256 px', 'better than the first by'], found.map((row) => [row.name, row.frechet.toFixed(1), gain(row.better)]))}

${count} pictures per row, ${steps} steps of the base, one step of 128 → 256; against ${count} real pictures of the same scenes. A second set of real pictures is at ${far(momentsOf(first(imagenet.again))).toFixed(1)}.`;
console.log(markdown);
if (values.save) publish('super-resolution', markdown, { count, steps, rows: found });
