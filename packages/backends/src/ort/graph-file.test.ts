import { float32, floats, ModelError, type ModelSource } from '@ediffi/core';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { externalFiles } from '../graph/external.js';
import { FLOAT } from '../graph/onnx.js';
import { concat, field } from '../graph/wire.js';
import { modelBytes, node, tensor, valueInfo } from '../graph/write.js';
import { ortNode } from '../ort-node.js';
import { readGraphFile } from './graph-file.js';

const root = mkdtempSync(join(tmpdir(), 'ediffi-graph-'));
afterAll(() => rmSync(root, { recursive: true }));

const N = 128;
const values = Float32Array.from({ length: N * N }, (_, i) => Math.sin(i));
const raw = new Uint8Array(values.buffer);
const x = float32(Float32Array.from({ length: N }, (_, i) => Math.cos(i)), [1, N]);

/** y = x·w; `w` inside the file, or outside as `entries` say. */
function matmul(entries?: Record<string, string | number>, dims: readonly number[] = [N, N]): Uint8Array {
  const outside = entries && concat([...dims.map((d) => field(1, d)), field(2, FLOAT), field(8, 'w'), ...Object.entries(entries).map(([k, v]) => field(13, concat([field(1, k), field(2, String(v))]))), field(14, 1)]);
  const initializers = [field(5, outside ?? tensor('w', FLOAT, dims, raw))];
  return modelBytes({ nodes: [node('MatMul', ['x', 'w'], 'y')], initializers, inputs: [valueInfo('x', [1, N])], outputs: [valueInfo('y', [1, N])] });
}

let count = 0;
/** A folder with these files. */
function folderOf(files: Record<string, Uint8Array>): string {
  const folder = join(root, `m${count++}`);
  mkdirSync(folder);
  for (const [path, bytes] of Object.entries(files)) writeFileSync(join(folder, path), bytes);
  return folder;
}
const unread = (): Promise<Uint8Array> => Promise.reject(new Error('read into memory'));
const onDisk = (folder: string): ModelSource => ({ name: 'unet', path: join(folder, 'model.onnx'), bytes: unread });

async function output(source: ModelSource): Promise<Float32Array> {
  const backend = ortNode();
  try {
    const session = await backend.load(source);
    return Float32Array.from(await floats((await session.run({ x }))['y']!));
  } finally {
    await backend.dispose();
  }
}

describe('a graph on disk', () => {
  it('is read without its weights, wherever they lie, and computes the same', async () => {
    const expected = await output({ name: 'memory', bytes: async () => matmul() });
    expect(expected[3]).toBeCloseTo(x.data.reduce((sum, v, i) => sum + v * values[i * N + 3]!, 0), 4);
    const inside = folderOf({ 'model.onnx': matmul() });
    const outside = folderOf({ 'model.onnx': matmul({ location: 'w.data', offset: 8, length: raw.length }), 'w.data': concat([new Uint8Array(8), raw]) });
    for (const folder of [inside, outside]) {
      const { bytes } = await readGraphFile(join(folder, 'model.onnx'), folder, 'unet');
      expect(bytes.length).toBeLessThan(400);
      expect(await output(onDisk(folder))).toEqual(expected);
    }
  });

  it('finds its weights through the links of a hub cache', async () => {
    const commit = 'c'.repeat(40);
    const snapshot = join(root, 'models--org--name/snapshots', commit, 'unet');
    const blobs = join(root, 'models--org--name/blobs');
    for (const folder of [snapshot, blobs]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(blobs, 'aaa'), matmul({ location: 'model.onnx_data' }));
    writeFileSync(join(blobs, 'bbb'), raw);
    symlinkSync('../../../blobs/aaa', join(snapshot, 'model.onnx'));
    symlinkSync('../../../blobs/bbb', join(snapshot, 'model.onnx_data'));
    expect(await output(onDisk(snapshot))).toEqual(await output({ name: 'memory', bytes: async () => matmul() }));
  });

  const secret = join(root, 'secret');
  writeFileSync(secret, raw);
  it.each([
    ['leads up', { location: '../secret' }, /name a file outside the model's folder: "\.\.\/secret" — the file is damaged or made to harm/],
    ['leads up by a detour', { location: 'a/../../secret' }, /outside the model's folder/],
    ['leads up, in the other slashes', { location: 'a\\..\\..\\secret' }, /outside the model's folder/],
    ['is absolute', { location: secret }, /outside the model's folder/],
    ['has a drive', { location: 'C:\\secret' }, /outside the model's folder/],
    ['is a link that leads out', { location: 'link' }, /'link' are a link out of the model's folder/],
    ['is missing', { location: 'none' }, /its weights 'none' are missing/],
    ['is a folder', { location: 'sub' }, /its weights 'sub' are missing/],
    ['is nowhere', { offset: 0 }, /no file is named/],
    ['is cut off', { location: 'cut' }, /'w' ends at byte 65536 of cut, which has 65535 — the file is cut off; download it again/],
    ['begins too late', { location: 'w.data', offset: 4 }, /ends at byte 65540 of w.data, which has 65536/],
    ['has another length than its tensor', { location: 'w.data', length: 100 }, /take 65536 bytes, but the graph says 100 lie in w.data/],
    ['begins at no number', { location: 'w.data', offset: '-4' }, /have the offset "-4"/],
  ])('whose weights’ file %s is refused before the runtime sees it', async (_, entries, message) => {
    const folder = folderOf({ 'model.onnx': matmul(entries), 'w.data': raw, cut: raw.subarray(1) });
    symlinkSync(secret, join(folder, 'link'));
    mkdirSync(join(folder, 'sub'));
    const backend = ortNode({ runtime: '/nowhere' }); // asking it would be another error
    const error = await backend.load(onDisk(folder)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ModelError);
    expect((error as Error).message).toMatch(message);
    const whole = readFileSync(join(folder, 'model.onnx'));
    await expect(backend.load({ name: 'unet', folder, bytes: async () => whole })).rejects.toThrow(message);
    await backend.dispose();
  });

  it('that is cut off is refused wherever it ends', async () => {
    const whole = matmul();
    for (const length of [0, 3, 60, 200, 30_000, whole.length - 1]) {
      const folder = folderOf({ 'model.onnx': whole.subarray(0, length) });
      await expect(readGraphFile(join(folder, 'model.onnx'), folder, 'unet'), String(length)).rejects.toThrow(ModelError);
    }
    await expect(readGraphFile(join(root, 'none.onnx'), root, 'unet')).rejects.toThrow(/doesn't exist/);
    const ort = folderOf({ 'model.onnx': new TextEncoder().encode('....ORTM........') });
    await expect(readGraphFile(join(ort, 'model.onnx'), ort, 'unet')).rejects.toThrow(/\.ort format/);
  });
});

describe('weights in memory', () => {
  it('must be there and large enough', async () => {
    const bytes = async (): Promise<Uint8Array> => matmul({ location: 'w.data' });
    expect(externalFiles(await bytes())).toEqual(['w.data']);
    const backend = ortNode({ runtime: '/nowhere' });
    await expect(backend.load({ name: 'unet', bytes })).rejects.toThrow(/its weights 'w.data' are missing/);
    await expect(backend.load({ name: 'unet', bytes, externalData: [{ path: 'w.data', bytes: async () => raw.slice(4) }] })).rejects.toThrow(/ends at byte 65536 of w.data, which has 65532/);
    await backend.dispose();
  });
});
