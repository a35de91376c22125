import { CapabilityError, float32, OptionError } from '@ediffi/core';
import { ortNode, type GraphOutline } from '@ediffi/backends/ort-node';
import { afterAll, describe, expect, it } from 'vitest';
import { Pipeline, type GenerateOptions } from '../index.js';
import { fixture } from '../testing/parity.js';
import { slicesOf } from './slices.js';

const backend = ortNode();
afterAll(() => backend.dispose());
const outline = (slicedStride?: number): GraphOutline => ({ name: 'unet', opset: 18, inputs: [], outputs: [], parameters: 0, sites: () => ({ opset: 18, image: 'sample', texts: [], selfAttentions: 1, ...(slicedStride !== undefined && { slicedStride }), sites: [], warnings: [] }) });
const settings = { seed: 3, steps: 4, width: 64, height: 96 };

describe('self-attention in runs', () => {
  it('of 256 queries at the model’s own size', () => {
    expect(slicesOf(outline(1), 64)).toBe(16); // Stable Diffusion 1.5
    expect(slicesOf(outline(2), 128)).toBe(16); // SDXL
    expect(slicesOf(outline(1), 96)).toBe(36); // Stable Diffusion 2.x at 768
    expect(slicesOf(outline(1), 8)).toBe(1);
    expect(slicesOf(outline(1), 1024)).toBe(64);
    expect(slicesOf(outline(), 64)).toBe(1);
    expect(slicesOf({ ...outline(), sites: () => { throw new CapabilityError('regions', 'none'); } }, 64)).toBe(1);
    expect(slicesOf(outline(1), 64, 4)).toBe(4);
    expect(() => slicesOf(outline(1), 64, 0)).toThrow(OptionError);
  });

  it('paints the same picture but for rounding, painted and watched too, and describe() says so', async () => {
    const [whole, sliced] = [await Pipeline.open(fixture('sd15'), { backend, slices: 1 }), await Pipeline.open(fixture('sd15'), { backend, slices: 5 })];
    const mask = float32([1, 0], [1, 2]);
    const all: GenerateOptions[] = [settings, { ...settings, paint: { regions: [{ phrase: 'red fox', mask }] }, attention: {} }];
    for (const options of all) {
      const [a, b] = [await whole.generate('a red fox', options), await sliced.generate('a red fox', options)];
      expect(Math.max(...a.data.map((v, i) => Math.abs(v - b.data[i]!)))).toBeLessThanOrEqual(1);
    }
    expect(await sliced.describe()).toMatch(/self-attentions, the finest in 5 runs/);
    expect(await whole.describe()).not.toMatch(/runs/);
    await Promise.all([whole.dispose(), sliced.dispose()]);
  });

  it('is refused where a graph cannot be sliced, when asked for', async () => {
    const pipeline = await Pipeline.open(fixture('sd3'), { backend, slices: 4 });
    await expect(pipeline.generate('a red fox', settings)).rejects.toThrow(CapabilityError);
    await expect(Pipeline.open(fixture('sd15'), { backend, slices: 1.5 })).rejects.toThrow(OptionError);
    await pipeline.dispose();
  });
});
