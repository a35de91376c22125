import { describe, expect, it } from 'vitest';
import { grids, loadBase, solvers } from './index.js';

describe('every solver and grid by name', () => {
  it('paints a finite picture on the embedded model, near what Heun with three times the steps paints', async () => {
    const base = await loadBase();
    const prompt = 'a red car on the beach';
    const settled = await base.generate(prompt, { seed: 7, steps: 45, solver: 'heun' });
    const far = (image: { tensor: { data: Float32Array } }): number => Math.sqrt(image.tensor.data.reduce((sum, v, i) => sum + (v - settled.tensor.data[i]!) ** 2, 0) / settled.tensor.data.length);
    const noisy = ['eulerAncestral', 'dpm2Ancestral', 'dpmpp2sAncestral', 'ddpm', 'saSolver', 'restart']; // other noise, another picture
    for (const solver of Object.keys(solvers)) {
      const image = await base.generate(prompt, { seed: 7, steps: 15, solver });
      expect(image.tensor.data.every(Number.isFinite), solver).toBe(true);
      if (!noisy.includes(solver)) expect(far(image), solver).toBeLessThan(0.25);
    }
    for (const grid of Object.keys(grids)) expect((await base.generate(prompt, { seed: 7, steps: 12, grid })).tensor.data.every(Number.isFinite), grid).toBe(true);
    await base.dispose();
  });
});
