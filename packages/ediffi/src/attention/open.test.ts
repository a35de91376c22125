import { float32, NonFiniteError } from '@ediffi/core';
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

it.each([
  ['sdxl', ['clip+clip-g'], 128],
  ['sd3', ['clip+clip-g', 't5', 'picture'], 64],
  ['flux-dev', ['t5', 'picture'], 64],
] as const)('%s: heat maps per word, shares per encoder (and the picture itself, in joint attention), no bit changed, and a map is a mask for the next picture', async (family, encoders, edge) => {
  const pipeline = await Pipeline.open(fixture(family));
  const prompt = 'a red apple on the grass';
  const settings = { seed: 7, steps: 3, width: edge, height: edge } as const;
  const plain = await pipeline.generate(prompt, settings);
  const { tensor, attention } = await pipeline.generate(prompt, { ...settings, attention: { maps: true } });
  expect([...tensor.data]).toEqual([...plain.tensor.data]);
  expect(attention!.steps).toHaveLength(3);
  for (const { shares } of attention!.steps) {
    expect(Object.keys(shares).sort()).toEqual([...encoders].sort());
    expect(Object.values(shares).every((share) => share > 0)).toBe(true);
    expect(Object.values(shares).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
  }
  const map = attention!.of('red apple');
  expect([map.width, map.height].every((size) => size > 1)).toBe(true);
  expect(Math.max(...map.values)).toBeGreaterThan(Math.min(...map.values));
  const mask = map.toMask();
  const painted = await pipeline.generate(prompt, { ...settings, paint: { regions: [{ phrase: 'red apple', mask }], strength: 3 }, attention: { maps: true } });
  const inside = (values: Float32Array): number => values.reduce((sum, v, i) => sum + v * mask.data[i]!, 0) / values.reduce((sum, v) => sum + v, 0);
  expect(inside(painted.attention!.of('red apple').values)).toBeGreaterThan(inside(map.values));
  await pipeline.dispose();
}, 60_000);

it('float16 that overflows is an error that names the expert, the noise and the way out', async () => {
  const pipeline = await Pipeline.open(fixture('sd15-fp16'));
  const loud = float32(new Float32Array(256).fill(1e5), [1, 4, 8, 8]); // float16 ends at 65504
  const failure = await pipeline.generate('a red apple', { width: 64, height: 64, steps: 2, noise: loud, scheduler: { _class_name: 'DDIMScheduler' } }).catch((error: unknown) => error);
  expect(NonFiniteError.isInstance(failure) && failure.message).toMatch(/the answer of 'unet': not a finite number at σ = \d.* — try fp32/);
  await pipeline.dispose();
});
