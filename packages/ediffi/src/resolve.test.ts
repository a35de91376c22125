import { float32, zeros, type Denoiser, type PaintOptions, type PaintWithWords } from '@ediffi/core';
import { describe, expect, it } from 'vitest';
import { planCalls, planRun } from './plan.js';
import { resolvePaint, resolveSeeds, resolveSize, resolveStage } from './resolve.js';
import type { BaseStage, Upsampler } from './stage.js';

const denoiser: Denoiser = { sigmaMin: 0.1, sigmaMax: 10, alpha: () => 1, denoise: (x) => Promise.resolve(zeros(x.shape)), dispose: () => Promise.resolve() };
const base: BaseStage = { name: 'base', denoiser, size: 32, multiple: 4, defaults: { solver: 'heun', steps: 5, guidance: 2 } };
const sr: Upsampler = { name: 'sr', denoiser, factor: 4, residualScale: 0.1, augmentation: 0.05 };
const size = { width: 32, height: 32 };

describe('resolveStage', () => {
  it('takes the stage\'s defaults, then the options', () => {
    expect(resolveStage(base, {}, size)).toMatchObject({ solverName: 'heun', gridName: 'karras', scale: 2, threshold: 'static' });
    expect(resolveStage(base, { solver: 'DEIS-RK', guidance: { scale: 3, rescale: 0.5, threshold: 'none' } }, size)).toMatchObject({ solverName: 'deisRk', scale: 3, guidance: { rescale: 0.5 }, threshold: 'none' });
  });

  it('gives a super-resolution stage σ in units of its picture', () => {
    const { sigmas } = resolveStage(sr, { steps: 3 }, size);
    expect([sigmas[0], sigmas[2], sigmas[3]].map((v) => Number(v!.toFixed(6)))).toEqual([1, 0.01, 0]);
  });

  it('runs the tail of the schedule for a share of it, at least one step', () => {
    const full = resolveStage(base, { steps: 10 }, size).sigmas;
    expect(resolveStage(base, { steps: 10 }, size, 0.3).sigmas).toEqual(full.slice(7));
    expect(resolveStage(base, { steps: 10 }, size, 0.001).sigmas).toHaveLength(2);
  });
});

describe('planCalls', () => {
  it('counts what the solver does: Heun twice per step but the last, Kutta three times', async () => {
    expect(await planCalls(resolveStage(base, { steps: 5 }, size))).toEqual([{ name: 'base', calls: 9 }]);
    expect(await planCalls(resolveStage(base, { steps: 5, solver: 'deisRk' }, size))).toEqual([{ name: 'base', calls: 13 }]);
    expect(await planCalls(resolveStage(sr, { steps: 5, solver: 'eulerAncestral' }, size))).toEqual([{ name: 'sr', calls: 5 }]);
  });
});

describe('planRun', () => {
  it('counts the steps that a solver inserts', async () => {
    expect((await planRun(resolveStage(base, { steps: 5 }, size))).steps).toBe(5);
    expect((await planRun(resolveStage(base, { steps: 4, solver: 'restart' }, size))).steps).toBe(16);
  });
});

describe('seeds, sizes, paint', () => {
  it('seeds: one, a list, or a count from the first on', () => {
    expect(resolveSeeds({ seed: 7 })).toEqual([7]);
    expect(resolveSeeds({ seed: [3, 9] })).toEqual([3, 9]);
    expect(resolveSeeds({ seed: 7, count: 3 })).toEqual([7, 8, 9]);
    expect(resolveSeeds({})[0]).toBeGreaterThanOrEqual(0);
    expect(resolveSeeds({ seed: [3, 9], count: 2 })).toEqual([3, 9]);
    expect(() => resolveSeeds({ seed: [3, 9], count: 5 })).toThrow(/count: expected none beside a list of 2 seeds/);
  });

  it('sizes are those of the finished picture', () => {
    expect(resolveSize(base, 4, {})).toEqual({ width: 32, height: 32 });
    expect(resolveSize(base, 4, { width: 160, height: 96 })).toEqual({ width: 40, height: 24 });
    expect(() => resolveSize(base, 4, { width: 100 })).toThrow(/a multiple of 16, such as 96/);
    expect(resolveSize({ ...base, fixed: [16, 8] }, 4, {})).toEqual({ width: 8, height: 16 });
    expect(() => resolveSize({ ...base, fixed: [16, 8] }, 4, { width: 64 })).toThrow(/32, the only size/);
  });

  it('paint has the model’s own strength and weight outside, unless told', () => {
    const mask = float32([1, 0.25], [1, 2]);
    const spans = [{ start: 0, end: 3, column: 1 }];
    const made = (options: PaintOptions): PaintWithWords => resolvePaint({ regions: [{ phrase: 'cat', mask }], ...options }, { paint: 0.8, outside: -1 });
    expect([...made({}).map('cat', spans, 1, 2, 2)]).toEqual([0, 1, 0, -0.75]);
    expect([...made({ outside: 0 }).map('cat', spans, 1, 2, 2)]).toEqual([0, 1, 0, 0.25]);
    expect([made({}).strength(1), made({ strength: 0.5 }).strength(1)]).toEqual([0.8 * Math.LN2, 0.5 * Math.LN2]);
    expect(resolvePaint({ regions: [{ phrase: 'cat', mask }] }).outside).toBe(0);
  });
});
