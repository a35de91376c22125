// What choosing by CLIP gains: of 1, 2, 4, 8 pictures per caption of the evaluation set the one with the highest CLIP score, judged by the network that was trained apart,
// beside the seconds that a 256 × 256 picture then takes (bestOf; reranking is from DALL·E, arXiv 2102.12092, § 2.6).
//
//   node benchmarks/best-of.mjs [--count 96] [--threads 2] [--save]
import { parseArgs } from 'node:util';
import { ortNode } from '@ediffi/backends/ort-node';
import { bestOf, loadBase, loadEdiffi, loadJudge } from 'ediffi';
import { interleaved } from './lib/interleaved.mjs';
import { median } from './lib/median.mjs';
import { estimate, evaluated, judge as clipJudge, percent, publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { count: { type: 'string', default: '96' }, threads: { type: 'string', default: '2' }, save: { type: 'boolean', default: false } } });
const [count, threads] = [Number(values.count), Number(values.threads)];
const SIZES = [1, 2, 4, 8];
const MOST = Math.max(...SIZES);
const ROUNDS = 3;
const QUESTIONS = ['object of one', 'object of two', 'object of several', 'count of several', 'background', 'style'];

/** Median seconds per 256 × 256 picture. */
async function seconds() {
  const backend = ortNode({ threads });
  const ediffi = await loadEdiffi({ backend });
  const [prompt, seed] = ['a red car on the beach', 7];
  const runs = SIZES.map((candidates) => () => (candidates === 1 ? ediffi.generate(prompt, { seed }) : bestOf(ediffi, prompt, { seed, candidates }).finish()));
  const times = await interleaved(runs, ROUNDS);
  await ediffi.dispose();
  await backend.dispose();
  return SIZES.map((_, i) => median(times[i]));
}

const took = await seconds();
const [{ judge, set }, model] = [await loadJudge(), await loadBase()];
const clip = clipJudge(model);
const painted = new Map(); // by the seed that evaluateModel gives a caption: MOST pictures with their scores

async function candidatesOf(caption, seed) {
  const found = [];
  for (let i = 0; i < MOST; i++) {
    const picture = await model.generate(caption, { seed: seed * MOST + i });
    found.push({ picture, score: await clip.score(picture, caption) });
  }
  return found;
}

const rows = [];
for (const [i, size] of SIZES.entries()) {
  const chooser = {
    parts: model.parts,
    async generate(caption, { seed }) {
      if (!painted.has(seed)) painted.set(seed, await candidatesOf(caption, seed));
      return painted.get(seed).slice(0, size).reduce((best, one) => (one.score > best.score ? one : best)).picture;
    },
  };
  rows.push({ candidates: size, seconds: took[i], ...(await evaluated(chooser, judge, set, { count, seed: 1 })) });
  process.stderr.write('.');
}
await model.dispose();
await judge.dispose();

const asked = QUESTIONS.filter((question) => rows[0].shown[question]);
const markdown = `${table(
  ['candidates', 'seconds per 256² picture', ...asked, 'Fréchet distance, judge’s features', 'CLIP score'],
  rows.map((row) => [row.candidates, row.seconds.toFixed(2), ...asked.map((question) => percent(row.shown[question].share)), estimate(row.features.judge.frechet, 1), estimate(row.clipScore, 3)]),
)}

${count} captions, the same candidates in every row; seconds: median of ${ROUNDS} interleaved rounds, ${threads} threads, base and both super-resolution stages. The CLIP score is what was chosen by: read the other columns.`;
console.log(markdown);
if (values.save) publish('best-of', markdown, { count, threads, rows });
