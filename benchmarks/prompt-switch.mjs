// Which part of denoising decides what is in the picture (eDiff-I, Fig. 4): prompt A, but B for the last or the first share of the steps.
// This is the researcher's loop, not an option of the pipeline: two conditions, one denoiser that picks by σ, the model's own solver.
//
//   node benchmarks/prompt-switch.mjs [--pairs 12] [--seeds 1] [--steps 25] [--sheet out/prompt-switch.png] [--save]
import { parseArgs } from 'node:util';
import { bind, float32, guided, lincomb } from '@ediffi/core';
import { karras, seededNoise } from '@ediffi/sampler';
import { GeneratedImage, loadBase, solvers } from 'ediffi';
import { writeFigure } from './lib/figure.mjs';
import { distance, judge, mean, prompts, publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { pairs: { type: 'string', default: '12' }, seeds: { type: 'string', default: '1' }, steps: { type: 'string', default: '25' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const [count, seeds, steps] = [Number(values.pairs), Number(values.seeds), Number(values.steps)];
const PARTS = [['last', 0.07], ['last', 0.2], ['last', 0.4], ['last', 0.6], ['first', 0.07], ['first', 0.2], ['first', 0.4], ['first', 0.6]];

const model = await loadBase();
const { parts: { base, encoders } } = model;
const clip = judge(model);
const denoiser = guided(base.denoiser, base.defaults.guidance, { threshold: 'static' });
const sigmas = karras(steps, denoiser);
const nothing = { embeddings: {} };
const conditionOf = async (prompt) => bind(denoiser, { positive: { prompts: [prompt], embeddings: Object.fromEntries(await Promise.all(Object.entries(encoders).map(async ([name, encoder]) => [name, await encoder.encode([prompt])]))) }, negative: nothing });

/** The picture of a seed; step i is denoised with what `choose` gives for it. */
async function paint(seed, choose) {
  const noise = seededNoise(seed);
  const x = await lincomb([sigmas[0], await noise([1, 3, base.size, base.size])]);
  const denoise = Object.assign((z, sigma) => choose(sigmas.indexOf(sigma))(z, sigma), { alpha: () => 1 });
  const solver = solvers[base.defaults.solver](denoise, x, sigmas, { noise });
  for (;;) {
    const { done, value } = await solver.next();
    if (done) return new GeneratedImage(float32(value.data, value.shape.slice(1)), { versions: {} }, []);
  }
}

const SHOWN = 4; // pairs on the sheet
const cells = [];
const found = PARTS.map(() => ({ changed: [], away: [] }));
const control = { changed: [], away: [] };
for (let k = 0; k < count; k++) {
  const [a, b] = [prompts[(2 * k) % prompts.length], prompts[(2 * k + 1) % prompts.length]];
  const [A, B] = [await conditionOf(a), await conditionOf(b)];
  for (let seed = 0; seed < seeds; seed++) {
    const [ofA, ofB] = [await paint(seed, () => A), await paint(seed, () => B)];
    const isB = async (picture) => (await clip.score(picture, b)) > (await clip.score(picture, a));
    control.changed.push(await isB(ofB));
    control.away.push(Number(await isB(ofA)));
    const row = [{ picture: ofA, prompt: a }];
    for (const [i, [end, share]] of PARTS.entries()) {
      const edge = Math.round(share * steps);
      const picture = await paint(seed, (step) => ((end === 'last' ? step >= steps - edge : step < edge) ? B : A));
      found[i].changed.push(await isB(picture));
      found[i].away.push(distance(picture, ofA) / distance(ofB, ofA));
      row.push({ picture, prompt: end === 'last' ? b : a });
    }
    if (k < SHOWN && seed === 0) cells.push(...row, { picture: ofB, prompt: b });
    process.stderr.write('.');
  }
}
process.stderr.write('\n');
await model.dispose();

const rows = PARTS.map(([end, share], i) => ({ part: `${end} ${Math.round(100 * share)} %`, steps: Math.round(share * steps), changed: mean(found[i].changed), distance: mean(found[i].away) }));
const reference = { pictureOfAJudgedB: mean(control.away), pictureOfBJudgedB: mean(control.changed) };
const markdown = `${table(['B instead of A in the', 'steps', 'share of pictures that become B', 'distance from A’s picture (1: as far as B’s)'], rows.map((row) => [row.part, `${row.steps} of ${steps}`, row.changed.text, row.distance.text]))}\n\nCLIP finds A's own pictures nearer to B in ${reference.pictureOfAJudgedB.text}, B's own in ${reference.pictureOfBJudgedB.text}: what the judge can tell. ${control.away.length} pairs of prompt and seed.`;
console.log(markdown);
if (values.sheet) await writeFigure(values.sheet, cells, PARTS.length + 2);
if (values.save) publish('prompt-switch', markdown, { pairs: count, seeds, steps, rows, reference });
