import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { grids, loadBase, solvers, type GeneratedImage, type Pipeline } from './index.js';

const PROMPT = 'a red car on the beach';
const OTHER_NOISE = ['eulerAncestral', 'dpm2Ancestral', 'dpmpp2sAncestral', 'ddpm', 'saSolver', 'restart']; // other noise, another picture

describe('on the embedded model', () => {
  let base: Pipeline;
  let settled: GeneratedImage;
  beforeAll(async () => {
    base = await loadBase();
    settled = await base.generate(PROMPT, { seed: 7, steps: 45, solver: 'heun' });
  });
  afterAll(() => base.dispose());

  it.each(Object.keys(solvers))('%s paints a finite picture, near what Heun with three times the steps paints', async (solver) => {
    const { data } = (await base.generate(PROMPT, { seed: 7, steps: 15, solver })).tensor;
    expect(data.every(Number.isFinite)).toBe(true);
    const far = Math.sqrt(data.reduce((sum, v, i) => sum + (v - settled.tensor.data[i]!) ** 2, 0) / data.length);
    if (!OTHER_NOISE.includes(solver)) expect(far).toBeLessThan(0.25);
  });

  it.each(Object.keys(grids))('%s is a grid that a finite picture is painted on', async (grid) => {
    expect((await base.generate(PROMPT, { seed: 7, steps: 12, grid })).tensor.data.every(Number.isFinite)).toBe(true);
  });
});
