// Peak memory of two experts of 400 MB and 300 MB of weights with one of them resident, beside the larger one alone:
//
//   node benchmarks/resident.mjs [--rounds 3] [--save]
//
// Each case runs in a process of its own; peaks are the kernel's (VmHWM). `switches` goes back and forth three times.
import { existsSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ortNode } from '@ediffi/backends/ort-node';
import { ExpertEnsemble, float32 } from '@ediffi/core';
import { child, memory } from './memory.mjs';
import { stamp } from './stamp.mjs';

const SIZES = { high: 400e6, low: 300e6 };
const WIDTH = 1024;
const folder = join(tmpdir(), 'ediffi-resident');

const varint = (n) => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
const field = (number, value) => {
  if (typeof value === 'number') return Buffer.from([...varint(number * 8), ...varint(value)]);
  const bytes = typeof value === 'string' ? Buffer.from(value) : Buffer.concat(value);
  return Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(bytes.length)]), bytes]);
};

/** x → tanh(x·W₁) → … with random weights beside the graph. */
function write(name, bytes) {
  const layers = Math.round(bytes / (4 * WIDTH * WIDTH));
  const value = (id) => [field(1, id), field(2, [field(1, [field(1, 1), field(2, [field(1, [field(2, 'rows')]), field(1, [field(1, WIDTH)])])])])];
  const node = (op, inputs, output) => field(1, [...inputs.map((i) => field(1, i)), field(2, output), field(4, op)]);
  const entry = (key, text) => field(13, [field(1, key), field(2, text)]);
  const graph = [];
  const data = openSync(join(folder, `${name}.data`), 'w');
  for (let i = 0; i < layers; i++) {
    graph.push(node('MatMul', [i ? `h${i - 1}` : 'x', `w${i}`], `m${i}`), node('Tanh', [`m${i}`], i === layers - 1 ? 'y' : `h${i}`));
    graph.push(field(5, [field(1, WIDTH), field(1, WIDTH), field(2, 1), field(8, `w${i}`), entry('location', `${name}.data`), entry('offset', String(4 * i * WIDTH * WIDTH)), entry('length', String(4 * WIDTH * WIDTH)), field(14, 1)]));
    writeSync(data, new Uint8Array(Float32Array.from({ length: WIDTH * WIDTH }, () => (Math.random() - 0.5) * 0.1).buffer));
  }
  closeSync(data);
  writeFileSync(join(folder, `${name}.onnx`), Buffer.concat([field(1, 8), field(7, [...graph, field(2, 'g'), field(11, value('x')), field(12, value('y'))]), field(8, [field(1, ''), field(2, 17)])]));
}

async function run(names) {
  const backend = ortNode();
  const denoiser = async (name) => {
    const session = await backend.load({ name, path: join(folder, `${name}.onnx`), bytes: async () => Promise.reject(new Error('read into memory')) });
    return { sigmaMin: 0.01, sigmaMax: 100, alpha: () => 1, denoise: async (x) => (await session.run({ x })).y, dispose: () => session.dispose() };
  };
  const all = [{ name: 'low', sigmaMin: 0.01, sigmaMax: 1 }, { name: 'high', sigmaMin: 1, sigmaMax: 100 }];
  const ensemble = new ExpertEnsemble(all.map((e) => ({ ...e, denoiser: () => denoiser(e.name) })), { resident: 1 });
  const x = float32(new Float32Array(64 * WIDTH).fill(0.5), [64, WIDTH]);
  for (const name of names) await ensemble.denoise(x, name === 'high' ? 10 : 0.5, {});
  const result = memory();
  await ensemble.dispose();
  await backend.dispose();
  return result;
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, save: { type: 'boolean', default: false }, only: { type: 'string' } } });
const CASES = { nothing: [], larger: ['high'], both: ['high', 'low'], switches: ['high', 'low', 'high', 'low', 'high', 'low'] };
if (values.only !== undefined) console.log(JSON.stringify(await run(CASES[values.only])));
else {
  if (!existsSync(folder)) mkdirSync(folder);
  for (const [name, bytes] of Object.entries(SIZES)) write(name, bytes);
  const peaks = Object.fromEntries(Object.keys(CASES).map((name) => [name, []]));
  for (let round = 0; round < Number(values.rounds); round++) for (const name of Object.keys(CASES)) peaks[name].push(child(process.execPath, [fileURLToPath(import.meta.url), '--only', name]).peak);
  rmSync(folder, { recursive: true });
  const worst = Object.fromEntries(Object.entries(peaks).map(([name, all]) => [name, Math.max(...all)]));
  const overLarger = (name) => Number((worst[name] / worst.larger).toFixed(3));
  const result = { ...stamp(), weightsMB: Object.fromEntries(Object.entries(SIZES).map(([n, b]) => [n, b / 1e6])), peakMB: Object.fromEntries(Object.entries(worst).map(([n, b]) => [n, Math.round(b / 1e6)])), ratios: { bothOverLarger: overLarger('both'), switchesOverLarger: overLarger('switches') }, targets: { bothOverLarger: 1.1, switchesOverLarger: 1.1 } };
  console.log(JSON.stringify(result, null, 2));
  if (values.save) writeFileSync(new URL('results/resident.json', import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
}
