import { float32 } from '@ediffi/core';
import { expect, it } from 'vitest';
import { Pipeline } from '../index.js';
import { fixture } from '../testing/parity.js';

it('works on a stock export, with guidance and paint together, and changes no bit', async () => {
  const pipeline = await Pipeline.open(fixture('sd15'));
  const prompt = 'a red apple on the grass';
  const settings = { seed: 7, steps: 3, guidance: 5, width: 128, height: 128 } as const;
  const mask = float32([1, 0], [1, 2]);
  const plain = await pipeline.generate(prompt, settings);
  const { tensor, attention } = await pipeline.generate(prompt, { ...settings, attention: { maps: true } });
  expect([...tensor.data]).toEqual([...plain.tensor.data]);
  expect(attention!.words.map((map) => map.text)).toEqual(prompt.split(' '));
  for (const { shares, words } of attention!.steps) {
    expect(Object.keys(shares)).toEqual(['clip']);
    expect(shares['clip']).toBeCloseTo(1, 4);
    expect(words).toBeGreaterThan(0);
    expect(words).toBeLessThan(1); // start, end and padding tokens have the rest
  }
  const painted = await pipeline.generate(prompt, { ...settings, paint: { regions: [{ phrase: 'red apple', mask }], strength: 3 }, attention: { maps: true } });
  const map = painted.attention!.of('red apple');
  const left = (values: Float32Array): number => values.reduce((sum, v, i) => sum + (i % map.width < map.width / 2 ? v : -v), 0);
  expect(left(map.values)).toBeGreaterThan(left(attention!.of('red apple').values));
  await pipeline.dispose();
});
