// Which text encoder carries what: pictures of the evaluation set with both, with one, with none, judged (eDiff-I, arXiv 2211.01324, §5 and Table 2).
//
//   node benchmarks/encoders.mjs [--count 64] [--steps 12] [--save]
import { parseArgs } from 'node:util';
import { evaluateModel, loadBase, loadJudge } from 'ediffi';
import { publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { count: { type: 'string', default: '64' }, steps: { type: 'string', default: '12' }, save: { type: 'boolean', default: false } } });
const [count, steps] = [Number(values.count), Number(values.steps)];
const SETS = [['t5', 'clip'], ['t5'], ['clip'], []];
const QUESTIONS = ['object of one', 'object of two', 'background', 'style', 'place', 'color'];

const [{ judge, set }, model] = [await loadJudge(), await loadBase()];
const rows = [];
for (const encoders of SETS) {
  const run = evaluateModel(model, judge, set, { count, seed: 1, paint: { steps, encoders } });
  let step = await run.next();
  while (!step.done) step = await run.next();
  rows.push({ encoders, ...step.value });
  process.stderr.write('.');
}
await model.dispose();
await judge.dispose();

const percent = (v) => (100 * v).toFixed(0);
const share = (found) => (found ? `${percent(found.share.value)} % (${percent(found.share.low)}–${percent(found.share.high)})` : '–');
const number = ({ value, low, high }, digits) => `${value.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
const asked = QUESTIONS.filter((question) => rows[0].shown[question]);
const markdown = `${table(
  ['text', 'Fréchet distance, judge’s features', 'CLIP score', ...asked],
  rows.map((row) => [row.encoders.join(' + ') || 'none', number(row.features.judge.frechet, 1), number(row.clipScore, 3), ...asked.map((question) => share(row.shown[question]))]),
)}

${count} captions of the evaluation set, ${steps} steps; real pictures: Fréchet distance ${rows[0].features.judge.frechetOfReal.toFixed(1)}, ${asked.map((question) => `${question} ${percent(rows[0].shown[question].ceiling)} %`).join(', ')}.`;
console.log(markdown);
if (values.save) publish('encoders', markdown, { count, steps, rows });
