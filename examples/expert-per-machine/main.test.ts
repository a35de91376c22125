import { loadEdiffi } from 'ediffi';
import { expect, it } from 'vitest';
import { main } from './main.js';

it('paints the picture that one machine paints, byte for byte, with the experts of two', async () => {
  const { picture, asked } = await main('a rocket in outer space', 6);
  const here = await loadEdiffi();
  const same = await here.generate('a rocket in outer space', { seed: 7, steps: 6 });
  await here.dispose();
  expect(picture.data).toEqual(same.data);
  expect([...asked].sort()).toEqual(expect.arrayContaining(['base-high from the first', 'base-low from the second', 'base-middle from the second', 'sr1-high from the first', 'sr2 from the second']));
});
