import { ortNode } from '@ediffi/backends/ort-node';
import { zeros } from '@ediffi/core';
import { afterAll, describe, expect, it } from 'vitest';
import { Pipeline } from './index.js';
import { fixture } from './testing/parity.js';

const backend = ortNode();
afterAll(() => backend.dispose());

describe('a stage that takes the enlarged picture beside its own', () => {
  const open = (): Promise<Pipeline> => Pipeline.open(fixture('if-stage1'), { backend, upsamplers: [fixture('if-stage2')] });
  const [width, height] = [32, 32];
  const image = { width, height, data: Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 37) % 256) };
  const mask = zeros([height, width]);
  mask.data.fill(1, 0, (width * height) / 2); // the upper half is repainted

  it.each([{}, { solver: 'euler' }])('keeps what the mask keeps: %j', async (sr1) => {
    const painted = await (await open()).generate('a cat', { seed: [1, 2], steps: 2, image, mask, stages: { sr1: { steps: 2, ...sr1 } } });
    for (const { data } of painted) {
      const away = Array.from(data, (v, i) => Math.abs(v - image.data[i]!));
      expect(Math.max(...away.slice(data.length / 2))).toBeLessThanOrEqual(1);
      expect(Math.max(...away.slice(0, data.length / 2))).toBeGreaterThan(8);
    }
  });

  it('is timed by describe()', async () => {
    expect(await (await open()).describe()).toMatch(/sr1 {2}32 × 32[^]*unet .* \d+ ms/);
  });
});
