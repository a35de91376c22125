import { expect, it } from 'vitest';
import { embeddedFolder, reportSkip } from '../../packages/ediffi/src/testing/embedded.js';
import { main } from './main.js';

reportSkip('examples/swap-an-expert');
it.skipIf(embeddedFolder === undefined)('the swapped expert makes a flatter picture', async () => {
  const { before, after, plan } = await main('a red apple on the grass', 6);
  expect(after).toBeLessThan(before);
  expect(plan).toMatch(/^high \d+, /);
});
