import { floats, hostTensor, type HostTensor } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { loadModel } from '@ediffi/model';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { embeddedFolder, reportSkip } from './testing/embedded.js';

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
}

const folder = process.env['EDIFFI_GOLDEN'] ?? fileURLToPath(new URL('../../model/golden', import.meta.url));
const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
reportSkip('parity.test.ts');
if (embeddedFolder !== undefined && names.length === 0) console.warn(`SKIPPED parity.test.ts: no golden files in ${folder} yet`);

function unpack({ dtype, shape, base64 }: Packed): HostTensor<'float32'> | HostTensor<'int64'> {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64')).buffer;
  return dtype === 'float32' ? hostTensor(new Float32Array(bytes), shape, dtype) : hostTensor(new BigInt64Array(bytes), shape, dtype);
}

describe.skipIf(embeddedFolder === undefined || names.length === 0)('every network call equals PyTorch on the same weights', () => {
  it.each(names)('%s', async (name) => {
    const golden = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Golden;
    const model = await loadModel({ folder: embeddedFolder!, verify: false });
    const backend = ortNode();
    const session = await backend.load(model.source(golden.graph));
    const outputs = await session.run(Object.fromEntries(Object.entries(golden.inputs).map(([input, packed]) => [input, unpack(packed)])));
    for (const [output, packed] of Object.entries(golden.outputs)) {
      const wanted = await floats(unpack(packed));
      const actual = await floats(outputs[output]!);
      expect(outputs[output]!.shape).toEqual(packed.shape);
      const scale = wanted.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const difference = wanted.reduce((most, v, i) => Math.max(most, Math.abs(v - actual[i]!)), 0);
      expect(difference / scale).toBeLessThanOrEqual(1e-4);
    }
    await backend.dispose();
  });

  it('has a golden file for every graph of the card', async () => {
    const { card } = await loadModel({ folder: embeddedFolder!, verify: false });
    const covered = names.map((name) => (JSON.parse(readFileSync(join(folder, name), 'utf8')) as Golden).graph);
    expect(covered.sort()).toEqual(Object.keys(card.files).sort());
  });
});
