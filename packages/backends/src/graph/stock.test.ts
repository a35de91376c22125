import { floats, hostTensor, type HostTensor, type ModelSource, type Tensor } from '@ediffi/core';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { ortNode } from '../ort-node.js';
import { reference } from '../reference.js';
import { inspectGraph } from './index.js';

interface Packed {
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly base64: string;
}

/** Written by golden/make_stock.py: diffusers models, each exported in another way, and PyTorch's own answers with paint-with-words. */
interface Golden {
  readonly order: 'cross' | 'image-first' | 'text-first' | 'added';
  /** Whether the graph runs on the CPU without being changed. */
  readonly stock: boolean;
  readonly tolerance: number;
  readonly sites: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, Packed>>;
  readonly regions: Readonly<Record<string, Packed>>;
  readonly outputs: Readonly<Record<string, Packed>>;
}

const folder = fileURLToPath(new URL('../../golden/stock', import.meta.url));
const cases = readdirSync(folder).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -5));

function unpack({ dtype, shape, base64 }: Packed): HostTensor<'float32'> | HostTensor<'int64'> {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64')).buffer;
  return dtype === 'float32' ? hostTensor(new Float32Array(bytes), shape, dtype) : hostTensor(new BigInt64Array(bytes), shape, dtype);
}
const unpackAll = (packed: Readonly<Record<string, Packed>>): Record<string, Tensor> => Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, unpack(value)]));

/** Largest difference, relative to the largest expected value (at least 1). */
function gap(actual: ArrayLike<number>, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
  return expected.reduce((most, v, i) => Math.max(most, Math.abs(v - actual[i]!)), 0) / scale;
}

const report: string[] = [];
afterAll(() => {
  if (process.env['EDIFFI_REPORT']) console.log(report.join('\n'));
});

describe('stock exports, painted and watched, equal PyTorch', () => {
  it.each(cases)('%s', async (name) => {
    const golden = JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8')) as Golden;
    const bytes = new Uint8Array(readFileSync(`${folder}/${name}.onnx`));
    const source: ModelSource = { name, bytes: async () => bytes };
    const found = inspectGraph(bytes, name);
    expect(found.warnings).toEqual([]);
    const counted: Record<string, number> = {};
    for (const { stride } of found.sites) counted[stride] = (counted[stride] ?? 0) + 1;
    expect(counted).toEqual(golden.sites);
    expect(new Set(found.sites.map((s) => s.kind))).toEqual(new Set([golden.order === 'cross' ? 'cross' : 'joint']));

    const backend = ortNode();
    const session = await backend.load(source, { instrument: { regions: true, maps: true } });
    const [inputs, regions] = [unpackAll(golden.inputs), unpackAll(golden.regions)];
    const expected = async (output: string): Promise<Float32Array> => floats(unpack(golden.outputs[output]!));
    const output = session.outputs[0]!.name;
    const painted = await session.run({ ...inputs, ...regions });
    const strength = hostTensor(new Float32Array(1), [1, 1, 1, 1], 'float32');
    const off = await floats((await session.run({ ...inputs, ...regions, regions_strength: strength }))[output]!);
    const gaps = { plain: gap(off, await expected('plain')), painted: gap(await floats(painted[output]!), await expected('painted')), maps: 0, zero: NaN };
    for (const map of Object.keys(golden.outputs).filter((key) => key.startsWith('attention_'))) {
      expect(painted[map]!.shape).toEqual(golden.outputs[map]!.shape);
      gaps.maps = Math.max(gaps.maps, gap(await floats(painted[map]!), await expected(map)));
    }
    if (golden.stock) {
      const stock = await backend.load(source);
      const plain = await floats((await stock.run(inputs))[output]!);
      gaps.zero = gap(off, plain);
      const watched = await backend.load(source, { instrument: { maps: true } });
      expect(gap(await floats((await watched.run(inputs))[output]!), plain)).toBe(0); // to look changes nothing
      expect(gaps.zero).toBe(0);
    }
    report.push(`${name}: ${JSON.stringify(golden.sites)} ${Object.entries(gaps).map(([key, value]) => `${key} ${value.toExponential(1)}`).join(', ')}`);
    expect(gaps.plain).toBeLessThan(golden.tolerance);
    expect(gaps.painted).toBeLessThan(golden.tolerance);
    expect(gaps.maps).toBeLessThan(golden.tolerance);
    await backend.dispose();
  });

  it.each(['unet-ts-sdpa', 'unet-dynamo-attention', 'if-ts-eager', 'sd3-ts-sdpa', 'flux-dynamo-sdpa'])('%s in the reference interpreter', async (name) => {
    const golden = JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8')) as Golden;
    const bytes = new Uint8Array(readFileSync(`${folder}/${name}.onnx`));
    const session = await reference().load({ name, bytes: async () => bytes }, { instrument: { regions: true, maps: true } });
    const results = await session.run({ ...unpackAll(golden.inputs), ...unpackAll(golden.regions) });
    const gaps: Record<string, number> = {};
    for (const { name: output } of session.outputs) gaps[output] = gap(await floats(results[output]!), await floats(unpack(golden.outputs[output in golden.outputs ? output : 'painted']!)));
    report.push(`${name} (reference): ${Object.entries(gaps).map(([key, value]) => `${key} ${value.toExponential(1)}`).join(', ')}`);
    for (const value of Object.values(gaps)) expect(value).toBeLessThan(golden.tolerance);
  });
});
