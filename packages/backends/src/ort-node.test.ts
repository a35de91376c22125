import { BackendError, DisposedError, float32, floats, ModelError, OptionError, randn, type ModelSource } from '@ediffi/core';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { affine, slow } from './conformance/fixtures.js';
import { concat, field } from './graph/wire.js';
import { FLOAT } from './graph/onnx.js';
import { modelBytes, node, valueInfo } from './graph/write.js';
import { ortNode } from './ort-node.js';

const folder = mkdtempSync(join(tmpdir(), 'ediffi-ort-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A runtime that computes nothing: it echoes, waits, or dies as the feed says. Stands in for onnxruntime-node. */
const double = join(folder, 'runtime.cjs');
writeFileSync(
  double,
  `let calls = 0;
   exports.Tensor = class { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } };
   exports.InferenceSession = { async create() {
     const x = [{ name: 'x', isTensor: true, type: 'float32', shape: ['n'] }];
     return { inputMetadata: x, outputMetadata: x, async release() {}, async run({ x }) {
       calls++;
       if (x.data[0] === -1) process.exit(3);
       if (x.data[0] === -2) throw new Error('no kernel');
       const until = Date.now() + x.data[0];
       while (Date.now() < until);
       return { x: new exports.Tensor('float32', Float32Array.of(calls), [1]) };
     } };
   } };`,
);
const number = (x: number): { x: ReturnType<typeof float32> } => ({ x: float32([x], [1]) });
const eye = (rows: number): ReturnType<typeof randn> => randn([rows, 512], 1);

/** y = x + w, the weight outside the file. */
function external(): Uint8Array {
  const weight = concat([field(1, 4), field(2, FLOAT), field(8, 'w'), field(13, concat([field(1, 'location'), field(2, 'w.data')])), field(14, 1)]);
  return modelBytes({ nodes: [node('Add', ['x', 'w'], 'y')], initializers: [field(5, weight)], inputs: [valueInfo('x', [4])], outputs: [valueInfo('y', [4])] });
}

describe('ort-node', () => {
  it('keeps the main thread free while it works', async () => {
    const backend = ortNode();
    const session = await backend.load(slow());
    const x = eye(512);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 20);
    const start = performance.now();
    const y = await floats((await session.run({ x }))['y']!);
    const elapsed = performance.now() - start;
    clearInterval(timer);
    expect(Math.abs(y[5]! - x.data[5]!)).toBeLessThan(1e-5);
    expect(ticks).toBeGreaterThan(elapsed / 20 / 3); // a blocked thread would give 0 or 1
    await backend.dispose();
  });

  it('answers an abort while the runtime is still working, then works again', async () => {
    const backend = ortNode();
    const session = await backend.load(slow());
    const controller = new AbortController();
    const running = session.run({ x: eye(512) }, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('stop')), 15);
    const start = performance.now();
    await expect(running).rejects.toThrow('stop');
    const answered = performance.now() - start;
    const y = await session.run({ x: float32(new Float32Array(512).fill(2), [1, 512]) });
    const drained = performance.now() - start;
    expect((await floats(y['y']!))[0]).toBe(2);
    expect(answered).toBeLessThan(drained);
    await backend.dispose();
  });

  it('never computes an aborted call that had not begun', async () => {
    const backend = ortNode({ runtime: double });
    const session = await backend.load(affine());
    const controller = new AbortController();
    const first = session.run(number(60));
    const late = [1, 1, 1].map(() => session.run(number(1), { signal: controller.signal }));
    controller.abort('enough');
    for (const call of late) await expect(call).rejects.toBe('enough');
    expect(await floats((await first)['x']!)).toEqual(Float32Array.of(1));
    expect(await floats((await session.run(number(0)))['x']!)).toEqual(Float32Array.of(2)); // the second that ran
    await backend.dispose();
  });

  it('loads one session while another runs', async () => {
    const backend = ortNode();
    const first = await backend.load(slow());
    const order: string[] = [];
    await Promise.all([first.run({ x: eye(4096) }).then(() => order.push('run')), backend.load(affine()).then(() => order.push('load'))]);
    expect(order).toEqual(['load', 'run']);
    await backend.dispose();
  });

  it('rejects open calls when its session is disposed, and says so afterwards', async () => {
    const backend = ortNode({ runtime: double });
    const session = await backend.load(affine());
    const calls = [session.run(number(50)), session.run(number(1))].map((call) => expect(call).rejects.toThrow(DisposedError));
    await Promise.all([...calls, session.dispose(), session.dispose()]);
    await expect(session.run(number(1))).rejects.toThrow(DisposedError);
    await backend.dispose();
    await expect(backend.load(affine())).rejects.toThrow(DisposedError);
  });

  it('rejects a load that was under way when the backend was disposed', async () => {
    const backend = ortNode();
    const loading = expect(backend.load(affine())).rejects.toThrow(DisposedError);
    await Promise.all([loading, backend.dispose()]);
  });

  it('answers an abort of a load at once, even of a file that never arrives', async () => {
    const backend = ortNode();
    const controller = new AbortController();
    const never: ModelSource = { name: 'never', bytes: () => new Promise(() => undefined) };
    const loading = backend.load(never, { signal: controller.signal });
    setTimeout(() => controller.abort('stop'), 5);
    await expect(loading).rejects.toBe('stop');
    await expect(backend.load(affine(), { signal: AbortSignal.abort('before') })).rejects.toBe('before');
  });

  it('turns the death of a worker into an error of every open and later call', async () => {
    const backend = ortNode({ runtime: double });
    const session = await backend.load(affine());
    const calls = [session.run(number(-1)), session.run(number(1))];
    for (const call of calls) await expect(call).rejects.toThrow(/worker thread ended \(exit code 3\) — load the model again/);
    await expect(session.run(number(1))).rejects.toThrow(BackendError);
    await backend.dispose();
  });

  it('names the feeds, not their contents, when the runtime fails', async () => {
    const backend = ortNode({ runtime: double });
    const session = await backend.load(affine());
    const error = await session.run(number(-2)).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'BackendError', message: 'affine: no kernel', feeds: { x: 'float32 [1]' } });
    expect(await floats((await session.run(number(0)))['x']!)).toEqual(Float32Array.of(2)); // still usable
    await backend.dispose();
  });

  it('reads a plain file, and weights beside it, from disk', async () => {
    const [path, cut] = [join(folder, 'w.onnx'), join(folder, 'cut.onnx')];
    writeFileSync(path, external());
    writeFileSync(cut, (await affine().bytes()).subarray(0, 60));
    writeFileSync(join(folder, 'w.data'), new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
    const bytes = async (): Promise<Uint8Array> => external();
    const data = async (): Promise<Uint8Array> => new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
    const backend = ortNode();
    const sources: ModelSource[] = [
      { name: 'path', path, bytes: () => Promise.reject(new Error('not needed')) },
      { name: 'folder', folder, bytes },
      { name: 'memory', bytes, externalData: [{ path: 'w.data', bytes: data }] },
    ];
    for (const source of sources) {
      const session = await backend.load(source);
      expect(await floats((await session.run({ x: float32([1, 1, 1, 1], [4]) }))['y']!), source.name).toEqual(Float32Array.of(2, 3, 4, 5));
    }
    const unread = (): Promise<Uint8Array> => Promise.reject(new Error('not needed'));
    await expect(backend.load({ name: 'cut', path: cut, bytes: unread })).rejects.toThrow(ModelError);
    await expect(backend.load({ name: 'none', path: join(folder, 'none.onnx'), bytes: unread })).rejects.toThrow(ModelError);
    await expect(backend.load({ name: 'no data', bytes })).rejects.toThrow(ModelError);
    await backend.dispose();
  });

  it('refuses thread counts that are none', async () => {
    const backend = ortNode();
    for (const threads of [0, -1, 1.5, NaN]) await expect(backend.load(affine(), { threads })).rejects.toThrow(OptionError);
    await backend.dispose();
  });

  it('lets the process end by itself, disposed or not, also when bundled and under --input-type=module', () => {
    const here = fileURLToPath(new URL('.', import.meta.url));
    const require = createRequire(import.meta.url);
    const script = `
      import { ortNode } from './ort-node.ts'; import { affine } from './conformance/fixtures.ts'; import { float32 } from '@ediffi/core';
      const backend = ortNode({ runtime: ${JSON.stringify(require.resolve('onnxruntime-node'))} });
      const sessions = [await backend.load(affine()), await backend.load(affine())];
      const y = await sessions[0].run({ x: float32([1, 2, 3, 4], [1, 4]) });
      await sessions[1].dispose();
      console.log(y.y.data.join());`;
    const { buildSync } = require('esbuild') as { buildSync(options: object): { outputFiles: { text: string }[] } };
    const code = buildSync({
      stdin: { contents: script, resolveDir: here, loader: 'ts' }, bundle: true, write: false, platform: 'node', format: 'esm',
      alias: { '@ediffi/core': fileURLToPath(new URL('../../core/src/index.ts', import.meta.url)) }, external: ['onnxruntime-node'],
      banner: { js: "import { createRequire as __c } from 'node:module'; const require = __c('/');" },
    }).outputFiles[0]!.text;
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-'], { input: code, encoding: 'utf8', timeout: 30_000 });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '3,5,7,9\n', stderr: '' });
  });
});
