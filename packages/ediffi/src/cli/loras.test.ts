import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { decodePng, readPngText } from '../index.js';
import { loraOption } from './loras.js';
import { run } from './run.js';

const flamingo = (expert: string): string => fileURLToPath(new URL(`../../../../examples/personal-subject/lora/flamingo-${expert}.safetensors`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ediffi-lora-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function painted(name: string, ...more: string[]): Promise<{ code: number; err: string; png: () => Uint8Array }> {
  let err = '';
  const code = await run(['paint', 'a sks on green grass', '--seed', '7', '--steps', '3', '--no-upscale', '--out', join(folder, name), ...more], { out: { write: () => true }, err: { write: (text) => (err += text) }, env: {} });
  return { code, err, png: () => new Uint8Array(readFileSync(join(folder, name))) };
}

it('--lora EXPERT=FILE changes that expert, and the picture says so', async () => {
  const [plain, changed] = [await painted('plain.png'), await painted('lora.png', '--lora', `middle=${flamingo('middle')}`, '--lora', `low=${flamingo('low')}`, '--lora-weight', '0.8')];
  expect([plain.code, changed.code], changed.err).toEqual([0, 0]);
  expect([...decodePng(changed.png()).data]).not.toEqual([...decodePng(plain.png()).data]);
  expect(JSON.stringify(readPngText(changed.png()))).toContain('flamingo-middle');
});

it('reads a list for the whole model, and a weight for each', async () => {
  const { loras } = await loraOption({ lora: [flamingo('high'), flamingo('low')], loraWeight: ['1', '0.5'] });
  expect(loras).toMatchObject([{ lora: { name: 'flamingo-high' }, weight: 1 }, { lora: { name: 'flamingo-low' }, weight: 0.5 }]);
  expect(await loraOption({})).toEqual({});
});

it('says what is wrong with a file, a name, a weight', async () => {
  expect(await painted('none.png', '--lora', join(folder, 'nothing.safetensors'))).toMatchObject({ code: 2, err: expect.stringMatching(/--lora: cannot read .*nothing.safetensors \(ENOENT\)/) });
  expect(await painted('none.png', '--lora', `center=${flamingo('high')}`)).toMatchObject({ code: 2, err: expect.stringMatching(/names of experts: high, middle, low/) });
  expect(await painted('none.png', '--lora-weight', '1')).toMatchObject({ code: 2, err: expect.stringMatching(/goes with --lora/) });
  await expect(loraOption({ lora: [flamingo('high'), `low=${flamingo('low')}`] })).rejects.toThrow(/for each of them \(EXPERT=FILE\), or for none/);
  await expect(loraOption({ lora: [flamingo('high')], loraWeight: ['1', '2'] })).rejects.toThrow(/expected one, or 1 as there are LoRAs, got 2/);
  await expect(loraOption({ lora: [flamingo('high')], loraWeight: ['much'] })).rejects.toThrow(/--lora-weight: expected a number/);
});
