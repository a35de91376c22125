import { decodePng, readPngText } from 'ediffi';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { main } from './main.js';

it('writes a picture that says how it was made', async () => {
  const png = new Uint8Array(readFileSync(await main('a panda in the snow', mkdtempSync(join(tmpdir(), 'ediffi-example-')), 4)));
  expect(decodePng(png)).toMatchObject({ width: 256, height: 256 });
  expect(readPngText(png)['prompt']).toBe('a panda in the snow');
});
