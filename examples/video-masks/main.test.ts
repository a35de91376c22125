import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { main } from './main.js';

it('films a moving region: frames from the same noise change less outside of it than frames of their own', async () => {
  vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const { file, table } = await main(mkdtempSync(join(tmpdir(), 'ediffi-example-')), 3, 8);
  const gif = readFileSync(file);
  expect(gif.subarray(0, 6).toString()).toBe('GIF89a');
  expect([gif.readUInt16LE(6), gif.readUInt16LE(8)]).toEqual([128, 128]);
  expect(table['frame before, same noise'].change).toBeLessThan(table['noise of its own'].change);
  expect(table['same noise'].change).toBeLessThan(table['noise of its own'].change);
  for (const { miss } of Object.values(table)) expect(miss).toBeLessThan(0.5);
}, 240_000);
