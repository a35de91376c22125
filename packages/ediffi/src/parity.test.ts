import { floats, hostTensor, type HostTensor, type Tensor } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { reference } from '@ediffi/backends/reference';
import { loadModel } from '@ediffi/model';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { embeddedFolder } from './testing/embedded.js';

interface Packed {
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly base64: string;
}

/** Written by packages/model/training/golden.py: what PyTorch answers on the weights that the file holds. */
interface Golden {
  readonly graph: string;
  readonly inputs: Readonly<Record<string, Packed>>;
  readonly outputs: Readonly<Record<string, Packed>>;
  /** Paint-with-words in PyTorch, by statistic: further inputs, and the output and attention maps they lead to. */
  readonly painted?: Readonly<Record<'max' | 'std', Pick<Golden, 'inputs' | 'outputs'>>>;
}

const folder = process.env['EDIFFI_GOLDEN'] ?? fileURLToPath(new URL('../../model/golden', import.meta.url));
const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];

function unpack({ dtype, shape, base64 }: Packed): HostTensor<'float32'> | HostTensor<'int64'> {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64')).buffer;
  return dtype === 'float32' ? hostTensor(new Float32Array(bytes), shape, dtype) : hostTensor(new BigInt64Array(bytes), shape, dtype);
}

const unpackAll = (packed: Readonly<Record<string, Packed>>): Record<string, Tensor> => Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, unpack(value)]));

/** Largest difference of any output, relative to that output's largest value. */
async function gap(actual: Record<string, Tensor>, golden: Readonly<Record<string, Packed>>): Promise<number> {
  let worst = 0;
  for (const [name, packed] of Object.entries(golden)) {
    const [wanted, got] = [await floats(unpack(packed)), await floats(actual[name]!)];
    expect(actual[name]!.shape).toEqual(packed.shape);
    const scale = wanted.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    worst = Math.max(worst, wanted.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i]!)), 0) / scale);
  }
  return worst;
}

const read = (name: string): Golden => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Golden;

describe('every network call equals PyTorch on the same weights', () => {
  it.each(names)('%s', async (name) => {
    const golden = read(name);
    const model = await loadModel({ folder: embeddedFolder, verify: false });
    const backend = ortNode();
    const session = await backend.load(model.source(golden.graph));
    expect(await gap(await session.run(unpackAll(golden.inputs)), golden.outputs)).toBeLessThanOrEqual(1e-4);
    await backend.dispose();
  });

  it.each(['max', 'std'] as const)('painted with words (%s), with attention maps, on the plain export', async (statistic) => {
    const painted = names.map(read).find((golden) => golden.painted)!;
    const { inputs, outputs } = painted.painted![statistic];
    const model = await loadModel({ folder: embeddedFolder, verify: false });
    const backend = ortNode();
    const session = await backend.load(model.source(painted.graph), { instrument: { regions: true, maps: true, statistic } });
    const actual = await session.run({ ...unpackAll(painted.inputs), ...unpackAll(inputs) });
    expect(await gap(actual, outputs)).toBeLessThanOrEqual(1e-4);
    expect(await gap(actual, painted.outputs)).toBeGreaterThan(1e-3); // the paint does something
    await backend.dispose();
  });

  it.each(['t5.json', 'clip-text.json', 'clip-image.json'])('%s in the reference interpreter', async (name) => {
    const golden = read(name);
    const model = await loadModel({ folder: embeddedFolder, verify: false });
    const session = await reference().load(model.source(golden.graph));
    expect(await gap(await session.run(unpackAll(golden.inputs)), golden.outputs)).toBeLessThanOrEqual(1e-4);
  });

  it('has a golden file for every graph of the card', async () => {
    const { card } = await loadModel({ folder: embeddedFolder, verify: false });
    const covered = names.map((name) => read(name).graph);
    expect(covered.sort()).toEqual(Object.keys(card.files).sort());
  });
});
