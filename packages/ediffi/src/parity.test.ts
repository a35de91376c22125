import { ortNode } from '@ediffi/backends/ort-node';
import { reference } from '@ediffi/backends/reference';
import { loadModel } from '@ediffi/model';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { embeddedFolder } from './testing/embedded.js';
import { gap, unpackAll, type Golden } from './testing/golden.js';

const folder = process.env['EDIFFI_GOLDEN'] ?? fileURLToPath(new URL('../../model/golden', import.meta.url));
const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];

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
