import { expect, it } from 'vitest';
import { main } from './main.js';

it('the swapped expert makes a flatter picture', async () => {
  const { before, after, plan } = await main('a red apple on the grass', 6);
  expect(after).toBeLessThan(before);
  expect(plan).toMatch(/^high \d+, /);
});
