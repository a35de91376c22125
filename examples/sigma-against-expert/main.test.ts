import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { main } from './main.js';

it('plots who answers, and the cut expert shares its calls', async () => {
  const { path, before, after } = await main(mkdtempSync(join(tmpdir(), 'ediffi-example-')), 18);
  expect(Object.keys(before)).toEqual(['high', 'middle', 'low']);
  expect(Object.keys(after)).toEqual(['high', 'middle', 'mine', 'low']);
  expect(after['middle']! + after['mine']!).toBe(before['middle']);
  expect(readFileSync(path, 'utf8').match(/<circle/g)!.length).toBe(2 * (2 * 18 - 1)); // Heun's last step is one call
});
