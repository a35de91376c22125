// What a step is worth: pictures of the evaluation set at several step counts, judged, beside the seconds that a 256 × 256 picture takes.
//
//   node benchmarks/quality-per-steps.mjs [--count 64] [--threads 2] [--save]
import { parseArgs } from 'node:util';
import { ortNode } from '@ediffi/backends/ort-node';
import { evaluateModel, loadBase, loadEdiffi, loadJudge } from 'ediffi';
import { publish, table } from './lib/science.mjs';
import { median } from './lib/median.mjs';

const { values } = parseArgs({ options: { count: { type: 'string', default: '64' }, threads: { type: 'string', default: '2' }, save: { type: 'boolean', default: false } } });
const [count, threads] = [Number(values.count), Number(values.threads)];
const SETTINGS = [{ steps: 4 }, { steps: 8 }, { steps: 12 }, { steps: 25 }, { steps: 8, guidance: 1 }];
const ROUNDS = 5;

/** Median seconds per 256 × 256 picture, interleaved, after one picture of each that nobody counts. */
async function seconds() {
  const backend = ortNode({ threads });
  const ediffi = await loadEdiffi({ backend });
  const times = SETTINGS.map(() => []);
  for (let round = -1; round < ROUNDS; round++) {
    for (const [i, setting] of SETTINGS.entries()) {
      const started = performance.now();
      const { width } = await ediffi.generate('a red car on the beach', { seed: 7, ...setting });
      if (width !== 256) throw new Error(`a picture of ${width}`);
      if (round >= 0) times[i].push((performance.now() - started) / 1000);
    }
  }
  await ediffi.dispose();
  await backend.dispose();
  return times.map(median);
}

const took = await seconds();
const [{ judge, set }, model] = [await loadJudge(), await loadBase()];
const rows = [];
for (const [i, paint] of SETTINGS.entries()) {
  const run = evaluateModel(model, judge, set, { count, seed: 1, paint });
  let step = await run.next();
  while (!step.done) step = await run.next();
  rows.push({ ...paint, seconds: took[i], ...step.value });
  process.stderr.write('.');
}
await model.dispose();
await judge.dispose();

const share = ({ value, low, high }) => `${(100 * value).toFixed(0)} % (${(100 * low).toFixed(0)}–${(100 * high).toFixed(0)})`;
const number = ({ value, low, high }, digits) => `${value.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
const markdown = `${table(
  ['steps of the base', 'guidance', 'seconds per 256² picture', 'object of one', 'background', 'Fréchet distance, judge’s features', 'CLIP score'],
  rows.map((row) => [row.steps, row.guidance ?? 3, row.seconds.toFixed(2), share(row.shown['object of one'].share), share(row.shown.background.share), number(row.features.judge.frechet, 1), number(row.clipScore, 3)]),
)}

${count} pictures per row; seconds: median of ${ROUNDS} interleaved rounds, ${threads} threads, base and both super-resolution stages.`;
console.log(markdown);
if (values.save) publish('quality-per-steps', markdown, { count, threads, rows });
