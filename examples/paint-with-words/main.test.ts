import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { main } from './main.js';

it('paints two different pictures from the same prompt and seed', async () => {
  const [right, left] = (await main(mkdtempSync(join(tmpdir(), 'ediffi-example-')), 4)).map((path) => readFileSync(path));
  expect(Buffer.compare(right!, left!)).not.toBe(0);
});
