// Which text encoder carries what: pictures of the evaluation set's short and long captions with both, with one, with none, judged
// (eDiff-I, arXiv 2211.01324, §5 and Table 2). What is written on signs: benchmarks/signs.mjs.
//
//   node benchmarks/encoders.mjs [--count 96] [--steps 12] [--sheet out/encoders.png] [--save]      # count: captions of either length
import { parseArgs } from 'node:util';
import { loadBase, loadJudge, sampleCaptions } from 'ediffi';
import { writeFigure } from './lib/figure.mjs';
import { estimate, evaluated, percent, publish, table } from './lib/science.mjs';
import { median } from './lib/median.mjs';

const { values } = parseArgs({ options: { count: { type: 'string', default: '96' }, steps: { type: 'string', default: '12' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const [count, steps] = [Number(values.count), Number(values.steps)];
const SETS = [['t5', 'clip'], ['t5'], ['clip'], []];
const SHOWN = 4; // captions of either length, on the sheet
const QUESTIONS = ['object of one', 'object of two', 'object of several', 'count of several', 'background', 'style', 'place', 'color'];

const [{ judge, set }, model] = [await loadJudge(), await loadBase()];
const words = (scene) => scene.caption.split(' ').length;
const usual = median(set.scenes.map(words));
const LENGTHS = { [`up to ${usual - 1} words`]: (scene) => words(scene) < usual, [`${usual} words and more`]: (scene) => words(scene) >= usual };

/** The evaluation set of some of its scenes. */
function among(chosen) {
  const rows = set.scenes.flatMap((scene, i) => (chosen(scene) ? [i] : []));
  const features = ({ width, data }) => ({ width, data: Float32Array.from(rows.flatMap((row) => [...data.subarray(row * width, (row + 1) * width)])) });
  const both = (pair) => ({ judge: features(pair.judge), 'clip-image': features(pair['clip-image']) });
  return { ...set, scenes: rows.map((row) => set.scenes[row]), real: both(set.real), again: both(set.again) };
}

const rows = [];
const sets = [];
const cells = SETS.map(() => []);
for (const [captions, chosen] of Object.entries(LENGTHS)) {
  const part = among(chosen);
  const pictures = Math.min(count, part.scenes.length);
  const shown = sampleCaptions(part.scenes, pictures, 1).slice(0, SHOWN); // the first that evaluateModel paints
  for (const [k, encoders] of SETS.entries()) {
    rows.push({ captions, encoders, ...(await evaluated(model, judge, part, { count: pictures, seed: 1, paint: { steps, encoders } })) });
    if (values.sheet) for (const [i, { caption: prompt }] of shown.entries()) cells[k].push({ prompt, picture: await model.generate(prompt, { seed: 1 + i, steps, encoders }) });
    process.stderr.write('.');
  }
  const { features } = rows.at(-1);
  sets.push(`${pictures} captions of ${captions} (Fréchet distance of real pictures ${features.judge.frechetOfReal.toFixed(1)})`);
}
await model.dispose();
await judge.dispose();

const share = (found) => (found ? percent(found.share) : '–');
const asked = QUESTIONS.filter((question) => rows.some((row) => row.shown[question]));
const markdown = `${table(
  ['captions', 'text', 'Fréchet distance, judge’s features', 'CLIP score', ...asked],
  rows.map((row) => [row.captions, row.encoders.join(' + ') || 'none', estimate(row.features.judge.frechet, 1), estimate(row.clipScore, 3), ...asked.map((question) => share(row.shown[question]))]),
)}

${sets.join(', ')}, ${steps} steps. The judge on real pictures of the whole set: ${asked.map((question) => `${question} ${(100 * set.ceiling[question]).toFixed(0)} %`).join(', ')}.`;
console.log(markdown);
if (values.sheet) {
  await writeFigure(values.sheet, cells.flat(), cells[0].length);
  console.log(cells[0].map(({ prompt }) => prompt).join(' · '));
}
if (values.save) publish('encoders', markdown, { count, steps, median: usual, rows });
