import { float32, type Region } from '@ediffi/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadBase, type Pipeline } from '../index.js';
import { embeddedFolder } from '../testing/embedded.js';

const PROMPT = 'a red car on a white background';
const settings = { seed: 7, steps: 4 } as const;
const left = float32(Float32Array.from({ length: 256 }, (_, i) => Number(i % 16 < 8)), [16, 16]);

describe('attention of the embedded model', () => {
  let base: Pipeline;
  beforeAll(async () => {
    base = await loadBase({ folder: embeddedFolder });
  });
  afterAll(() => base.dispose());

  it('changes no byte of the picture; shares of each step sum to 1; one map per word', async () => {
    const plain = await base.generate(PROMPT, settings);
    const painting = base.stream(PROMPT, { ...settings, attention: { maps: true } });
    const experts: string[] = [];
    for await (const { attention, expert, sigma } of painting) {
      const [step] = attention!;
      experts.push(expert);
      expect([step!.expert, step!.sigma]).toEqual([expert, sigma]);
      expect(Object.values(step!.shares).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
      expect(Object.keys(step!.shares)).toEqual(['t5', 'clip', 'clip-image', 'null']);
      expect(step!.maps.map((map) => map.text)).toEqual(PROMPT.split(' '));
      expect(step!.maps.reduce((sum, map) => sum + map.share, 0)).toBeCloseTo(step!.words, 4);
    }
    const watched = await painting.finish();
    expect(new Set(experts).size).toBeGreaterThan(1);
    expect([...watched.tensor.data]).toEqual([...plain.tensor.data]);
    expect(watched.attention!.steps.map((step) => step.maps.length)).toEqual(new Array(4).fill(0)); // only their mean was asked for
    expect(plain.attention).toBeUndefined();
  });

  it('of painted words lies in the painted half, together with paint and guidance; of a batch each picture’s own', async () => {
    const regions: Region[] = [{ phrase: 'red car', mask: left }];
    const attention = { maps: 'steps', window: { from: 1 } } as const;
    const painted = await base.generate(PROMPT, { ...settings, seed: [7, 8], paint: { regions, strength: 1 }, attention });
    const alone = await base.generate(PROMPT, { ...settings, paint: { regions, strength: 1 } });
    expect(Buffer.compare(painted[0]!.data, alone.data)).toBe(0);
    for (const { attention } of painted) {
      const map = attention!.of('red car');
      const [inside, outside] = [0, 1].map((side) => map.values.reduce((sum, v, i) => (Number(i % 16 >= 8) === side ? sum + v : sum), 0));
      expect(inside).toBeGreaterThan(1.2 * outside!);
      const mask = map.toMask();
      expect(mask.data.reduce((sum, v, i) => sum + (i % 16 < 8 ? v : -v), 0)).toBeGreaterThan(0);
      expect(attention!.steps.every((step) => step.sigma > 1 && step.maps.length === 7)).toBe(true);
    }
    expect(painted[0]!.attention!.words[1]!.values).not.toEqual(painted[1]!.attention!.words[1]!.values);
    const again = await base.generate(PROMPT, { ...settings, paint: { regions, strength: 1 }, attention });
    painted[0]!.attention!.of('car').values.forEach((v, i) => expect(v).toBeCloseTo(again.attention!.of('car').values[i]!, 4));
  });

  it('gives masks that steer another picture', async () => {
    const { attention } = await base.generate(PROMPT, { ...settings, attention: { maps: true, sites: [2], encoders: ['t5'] } });
    const region = { phrase: 'cat', mask: attention!.of('car').toMask({ soft: true }) };
    const [with_, without] = await Promise.all([{ paint: { regions: [region], strength: 1 } }, {}].map((more) => base.generate('a cat on a white background', { ...settings, ...more })));
    expect(Buffer.compare(with_!.data, without!.data)).not.toBe(0);
    expect(attention!.words[2]!.toPng().length).toBeGreaterThan(100);
  });

  it('is watched also with solvers of several calls per step, style, and swapped experts', async () => {
    const style = { image: { width: 1, height: 1, data: Uint8Array.of(200, 30, 30) }, window: { from: 1 } };
    const { attention } = await base.generate(PROMPT, { ...settings, steps: 3, solver: 'heun', style, attention: {} });
    expect(attention!.steps.length).toBe(3);
    expect(attention!.steps[0]!.shares['clip-image']).toBeGreaterThan(0);
    const blind = base.with({ experts: { low: { sigmaMin: 0, sigmaMax: 1e9, alpha: () => 1, denoise: (x) => Promise.resolve(x), dispose: () => Promise.resolve() } } });
    await expect(blind.generate(PROMPT, { ...settings, attention: {} })).rejects.toThrow(/the expert 'low' gives no attention maps/);
    await blind.dispose();
  });
});
