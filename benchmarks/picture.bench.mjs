// Seconds per picture and what the SDK adds, all variants interleaved in one run (order rotated each round, so that a busy minute hits all):
//
//   node benchmarks/picture.bench.mjs [--rounds 9] [--model folder] [--save]
//
//   base        one base picture with its default settings      cascade   base and super-resolution
//   bare        the same network calls and encoder calls by onnxruntime-node alone, on this thread, same thread options
//   painted     base with paint-with-words
//   single      base with the middle expert's network alone     three     base with that network three times, as three experts
//
// The experts are not of one size: what an ensemble costs beside one network shows between three that are equal and one of them.
// Ratios are medians over rounds of the ratio within a round, and, for busy machines, ratios of the best times.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { ExpertEnsemble, float32 } from '@ediffi/core';
import { loadBase, loadEdiffi } from 'ediffi';
import { loadModel } from '../packages/model/dist/index.js';
import { stamp } from './stamp.mjs';
import { interleaved } from './lib/interleaved.mjs';
import { median } from './lib/median.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '9' }, model: { type: 'string' }, save: { type: 'boolean', default: false } } });
const where = values.model === undefined ? {} : { folder: values.model };
const PROMPT = 'a red car on the beach';

const model = await loadModel(where);
const base = await loadBase(where);
const cascade = await loadEdiffi(where);
const stage = base.parts.base;
const { experts } = model.card.stages[0];

/** Inputs of a network for so many rows: what is in them costs nothing. */
function feedsOf(session, batch) {
  const size = { height: stage.size, width: stage.size };
  return Object.fromEntries(session.inputMetadata.map(({ name, shape }) => {
    const dims = shape.map((n) => (typeof n === 'number' ? n : (size[n] ?? batch)));
    return [name, new ort.Tensor('float32', Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)), dims)];
  }));
}

/** The network calls of one base picture, made directly. */
async function bareCalls() {
  const options = { executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1, extra: { session: { intra_op: { allow_spinning: '0' } } } };
  const open = async (file) => ort.InferenceSession.create(await model.source(file).bytes(), options);
  const [plan] = await base.plan(PROMPT);
  const networks = await Promise.all(plan.experts.map(async ({ name, calls }) => {
    const { file, guidance = stage.defaults.guidance } = experts.find((e) => e.name === name);
    const session = await open(file);
    return { calls, session, feeds: feedsOf(session, guidance === 1 ? 1 : 2) };
  }));
  const encoders = await Promise.all(['t5', 'clip'].map(async (name) => ({ session: await open(model.card.encoders[name].file), length: model.card.encoders[name].length })));
  return async () => {
    for (const { session, length } of encoders) await session.run({ input_ids: new ort.Tensor('int64', BigInt64Array.from({ length }, (_, i) => BigInt(i < 7 ? i + 1 : 0)), [1, length]) });
    for (const { session, calls, feeds } of networks) for (let i = 0; i < calls; i++) await session.run(feeds);
  };
}

/** The middle expert's network, loaded for each expert anew. */
const middle = stage.denoiser.experts.find(({ name }) => name === 'middle');
const copies = await Promise.all(stage.denoiser.experts.map(() => middle.denoiser()));
/** The base with these networks for its experts, guided where those are. */
const withNetworks = (networks) => base.with({ base: { ...stage, denoiser: new ExpertEnsemble(stage.denoiser.experts.map((expert, i) => ({ ...expert, denoiser: networks[i] }))) } });
const single = withNetworks(copies.map(() => copies[0]));
const three = withNetworks(copies);
const mask = float32(Float32Array.from({ length: 64 }, (_, i) => Number(i % 8 < 4)), [8, 8]);
const variants = {
  base: () => base.generate(PROMPT, { seed: 7 }),
  bare: await bareCalls(),
  cascade: () => cascade.generate(PROMPT, { seed: 7 }),
  painted: () => base.generate(PROMPT, { seed: 7, paint: { regions: [{ phrase: 'red car', mask }] } }),
  single: () => single.generate(PROMPT, { seed: 7 }),
  three: () => three.generate(PROMPT, { seed: 7 }),
};

const seconds = await interleaved(variants, Number(values.rounds));
await Promise.all([base, cascade, single, three, ...copies].map((part) => part.dispose()));

const ratio = (a, b) => Number(median(seconds[a].map((v, i) => v / seconds[b][i])).toFixed(3));
const bestRatio = (a, b) => Number((Math.min(...seconds[a]) / Math.min(...seconds[b])).toFixed(3));
const pairs = { sdkOverBareRuntime: ['base', 'bare'], paintedOverPlain: ['painted', 'base'], ensembleOverSingle: ['three', 'single'] };
const each = (f) => Object.fromEntries(Object.entries(pairs).map(([name, [a, b]]) => [name, f(a, b)]));
const result = {
  ...stamp(),
  model: `${model.card.name} ${model.card.version}`,
  rounds: Number(values.rounds),
  loadAverage: loadavg().map((v) => Number(v.toFixed(1))),
  seconds: Object.fromEntries(Object.entries(seconds).map(([name, times]) => [name, { median: Number(median(times).toFixed(3)), best: Number(Math.min(...times).toFixed(3)) }])),
  ratios: each(ratio),
  ratiosOfBest: each(bestRatio),
  targets: { sdkOverBareRuntime: 1.03, paintedOverPlain: 1.05, ensembleOverSingle: 1.02 },
};
console.log(JSON.stringify(result, null, 2));
if (values.save) writeFileSync(new URL('results/picture.json', import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
