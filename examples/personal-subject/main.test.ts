import { expect, it } from 'vitest';
import { main } from './main.js';

it('six pictures and a LoRA per expert make the model paint a subject it has never seen', async () => {
  const { without, with: mine, pictures } = await main();
  expect(pictures.length).toBe(6);
  expect(mine).toBeGreaterThan(without + 0.2);
});
