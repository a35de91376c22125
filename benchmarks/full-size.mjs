// Stable Diffusion 1.5's UNet at its real size: memory, opening and a step at 64×64 latents, batch 2, beside Python's onnxruntime on the same file:
//
//   python packages/ediffi/parity/full_size.py FOLDER ts-fp32 dynamo-fp32 ts-fp16 --config hub-skeletons/stable-diffusion-v1-5/unet        (3.4 GB per float32 case; needs 10 GB of memory)
//   node benchmarks/full-size.mjs --folder FOLDER [--cases ts-fp32,…] [--python python3] [--rounds 3] [--steps 2] [--latent 64] [--threads 2] [--save]
//
//   python   onnxruntime as it comes, same threads       stock    our backend, the graph as it is
//   sliced   self-attention in 16 slices of queries      painted  with region inputs, strength 0.5        watched  with attention maps
//   frugal   painted, watched and sliced
//
// Every variant runs in a process of its own, rounds interleaved; ratios are medians over rounds of the ratio within a round (best step of a process).
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ortNode } from '@ediffi/backends/ort-node';
import { float32, hostTensor, numberToHalf } from '@ediffi/core';
import { child, memory } from './memory.mjs';
import { stamp } from './stamp.mjs';
import { median } from './lib/median.mjs';

const VARIANTS = { stock: undefined, sliced: { slices: 16 }, painted: { regions: true }, watched: { maps: true }, frugal: { regions: true, maps: true, slices: 16 } };
const TARGETS = { peakOverWeights: 1.25, openOverPython: 1.02, stepOverPython: 1.02, paintedOverStock: 1.03, watchedOverStock: 1.1 };
const { values } = parseArgs({
  options: {
    folder: { type: 'string' }, cases: { type: 'string', default: 'ts-fp32,dynamo-fp32,ts-fp16' }, python: { type: 'string', default: 'python3' }, rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '2' }, latent: { type: 'string', default: '64' }, threads: { type: 'string', default: '2' }, save: { type: 'boolean', default: false }, model: { type: 'string' }, variant: { type: 'string' },
  },
});
const [rounds, steps, latent, threads] = [values.rounds, values.steps, values.latent, values.threads].map(Number);

/** One variant, in this process. */
async function run(path, variant) {
  const backend = ortNode({ threads });
  const instrument = VARIANTS[variant];
  let started = performance.now();
  const session = await backend.load({ name: 'unet', path, bytes: async () => Promise.reject(new Error('read into memory')) }, instrument ? { instrument } : {});
  const open = (performance.now() - started) / 1000;
  const half = session.inputs.find(({ name }) => name === 'sample').dtype === 'float16';
  const wave = (...shape) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i));
    return half ? hostTensor(Uint16Array.from(data, numberToHalf), shape, 'float16') : float32(data, shape);
  };
  const feeds = { sample: wave(2, 4, latent, latent), encoder_hidden_states: wave(2, 77, 768) };
  for (const { name, shape } of session.inputs) {
    const [, stride] = /^regions_s(\d+)$/.exec(name) ?? [];
    const tokens = Math.ceil(latent / Number(stride)) ** 2;
    if (name === 'timestep') feeds[name] = hostTensor(new BigInt64Array(shape.length ? 2 : 1).fill(3n), shape.length ? [2] : [], 'int64');
    else if (stride) feeds[name] = float32(Float32Array.from({ length: tokens * 77 }, (_, i) => Number(i % 77 < 4)), [1, 1, tokens, 77]);
    else if (name === 'regions_strength') feeds[name] = float32([0.5, 0], [2, 1, 1, 1]);
  }
  const seconds = [];
  let output;
  for (let i = 0; i < steps; i++) {
    started = performance.now();
    output = Object.values(await session.run(feeds))[0];
    seconds.push((performance.now() - started) / 1000);
  }
  const { peak } = memory();
  const head = half ? [] : Array.from((await output.toHost()).data.slice(0, 64));
  await backend.dispose();
  return { open, steps: seconds, peak, head };
}

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const round = (x) => Number(x.toFixed(3));

function measure(name) {
  const path = join(values.folder, name, 'unet', 'model.onnx');
  const weights = readdirSync(join(path, '..')).reduce((sum, file) => sum + statSync(join(path, '..', file)).size, 0);
  const all = { python: [], ...Object.fromEntries(Object.keys(VARIANTS).map((v) => [v, []])) };
  for (let i = 0; i < rounds; i++) {
    const order = Object.keys(all);
    for (let k = 0; k < order.length; k++) {
      const variant = order[(k + i) % order.length];
      const args = variant === 'python' ? [here('full-size.py'), path, latent, steps, threads].map(String) : [here('full-size.mjs'), '--model', path, '--variant', variant, '--latent', values.latent, '--steps', values.steps, '--threads', values.threads];
      all[variant].push(child(variant === 'python' ? values.python : process.execPath, args));
      console.error(`${name} ${variant}: open ${round(all[variant].at(-1).open)} s, steps ${all[variant].at(-1).steps.map(round).join(', ')} s, peak ${round(all[variant].at(-1).peak / weights)} × weights`);
    }
  }
  const best = (r) => Math.min(...r.steps);
  const ratio = (a, b, of) => round(median(all[a].map((r, i) => of(r) / of(all[b][i]))));
  const gap = (variant) => Math.max(0, ...all[variant][0].head.map((v, i) => Math.abs(v - all.python[0].head[i])));
  return {
    weightsGB: round(weights / 1e9),
    seconds: Object.fromEntries(Object.entries(all).map(([v, runs]) => [v, { open: round(median(runs.map((r) => r.open))), step: round(median(runs.map(best))) }])),
    peakOverWeights: Object.fromEntries(Object.entries(all).map(([v, runs]) => [v, round(Math.max(...runs.map((r) => r.peak)) / weights)])),
    ratios: { openOverPython: ratio('stock', 'python', (r) => r.open), stepOverPython: ratio('stock', 'python', best), slicedOverPython: ratio('sliced', 'python', best), paintedOverStock: ratio('painted', 'stock', best), watchedOverStock: ratio('watched', 'stock', best) },
    differenceToPython: { stock: gap('stock'), sliced: gap('sliced'), watched: gap('watched') },
  };
}

if (values.variant !== undefined) console.log(JSON.stringify(await run(values.model, values.variant)));
else if (!values.folder || !existsSync(values.folder)) {
  console.error('give --folder with what packages/ediffi/parity/full_size.py wrote');
  process.exitCode = 1;
} else {
  const result = { ...stamp(), latent, batch: 2, threads, rounds, loadAverage: loadavg().map((v) => Number(v.toFixed(1))), cases: Object.fromEntries(values.cases.split(',').map((name) => [name, measure(name)])), targets: TARGETS };
  console.log(JSON.stringify(result, null, 2));
  if (values.save) writeFileSync(new URL('results/full-size.json', import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
}
