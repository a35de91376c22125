// What a step is worth, and the solver, and guidance: pictures of the evaluation set at several settings, judged, beside the seconds that a 256 × 256 picture takes.
//
//   node benchmarks/quality-per-steps.mjs [--count 128] [--threads 2] [--save]
import { parseArgs } from 'node:util';
import { ExpertEnsemble } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { loadBase, loadEdiffi, loadJudge } from 'ediffi';
import { estimate, evaluated, percent, publish, table } from './lib/science.mjs';
import { interleaved } from './lib/interleaved.mjs';
import { median } from './lib/median.mjs';

const { values } = parseArgs({ options: { count: { type: 'string', default: '128' }, threads: { type: 'string', default: '2' }, save: { type: 'boolean', default: false } } });
const [count, threads] = [Number(values.count), Number(values.threads)];
// `everywhere`: the low-noise expert is guided, too.
const SETTINGS = [
  ...[4, 8, 12, 25, 50].map((steps) => ({ paint: { steps } })),
  { paint: { steps: 25 }, everywhere: true },
  ...[12, 25].map((steps) => ({ paint: { steps, solver: 'dpmpp2m' } })),
  { paint: { steps: 8, guidance: 1 } },
];
const ROUNDS = 5;

/** The same model, its experts without a guidance of their own. */
function guidedEverywhere(model) {
  const { base } = model.parts;
  return model.with({ base: { ...base, denoiser: new ExpertEnsemble(base.denoiser.experts.map(({ guidance, ...expert }) => expert)) } });
}

/** Median seconds per 256 × 256 picture. */
async function seconds() {
  const backend = ortNode({ threads });
  const ediffi = await loadEdiffi({ backend });
  const all = guidedEverywhere(ediffi);
  const runs = SETTINGS.map(({ paint, everywhere }) => async () => {
    const { width } = await (everywhere ? all : ediffi).generate('a red car on the beach', { seed: 7, ...paint });
    if (width !== 256) throw new Error(`a picture of ${width}`);
  });
  const times = await interleaved(runs, ROUNDS);
  await all.parts.base.denoiser.dispose();
  await ediffi.dispose();
  await backend.dispose();
  return SETTINGS.map((_, i) => median(times[i]));
}

const took = await seconds();
const [{ judge, set }, model] = [await loadJudge(), await loadBase()];
const { solver, guidance } = model.parts.base.defaults;
const all = guidedEverywhere(model);
const rows = [];
for (const [i, { paint, everywhere = false }] of SETTINGS.entries()) {
  const found = await evaluated(everywhere ? all : model, judge, set, { count, seed: 1, paint });
  rows.push({ solver, guidance, everywhere, ...paint, seconds: took[i], ...found });
  process.stderr.write('.');
}
await all.parts.base.denoiser.dispose();
await model.dispose();
await judge.dispose();

const markdown = `${table(
  ['steps of the base', 'solver', 'guidance', 'seconds per 256² picture', 'object of one', 'background', 'Fréchet distance, judge’s features', 'CLIP score'],
  rows.map((row) => [row.steps, row.solver, `${row.guidance}${row.everywhere ? ', of the low-noise expert too' : ''}`, row.seconds.toFixed(2), percent(row.shown['object of one'].share), percent(row.shown.background.share), estimate(row.features.judge.frechet, 1), estimate(row.clipScore, 3)]),
)}

${count} pictures per row; seconds: median of ${ROUNDS} interleaved rounds, ${threads} threads, base and both super-resolution stages.`;
console.log(markdown);
if (values.save) publish('quality-per-steps', markdown, { count, threads, rows });
