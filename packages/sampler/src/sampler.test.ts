import { CapabilityError, OptionError, SigmaRangeError, float32, floats, type Denoise, type Tensor } from '@ediffi/core';
import { flowAlpha, gaussian } from '@ediffi/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deisRk, dpm2, dpm2Ancestral, dpmpp2m, dpmpp2mSde, dpmpp2sAncestral, dpmpp3mSde, dpmppSde, lms, euler, eulerAncestral, exponential, heun, karras, linear, seededNoise, type Solver, type Step } from './index.js';

async function finish(steps: AsyncGenerator<Step, Tensor, void>): Promise<Tensor> {
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return value;
  }
}

describe('grids', () => {
  const range = fc.tuple(fc.double({ min: 1e-4, max: 0.5, noNaN: true }), fc.double({ min: 0.6, max: 200, noNaN: true }));
  it('decrease strictly from sigmaMax to sigmaMin and end in 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 80 }), range, fc.double({ min: 0.5, max: 12, noNaN: true }), (n, [sigmaMin, sigmaMax], rho) => {
        for (const grid of [karras(n, { sigmaMin, sigmaMax, rho }), exponential(n, { sigmaMin, sigmaMax }), linear(n, { sigmaMin, sigmaMax })]) {
          expect(grid.length).toBe(n + 1);
          expect([grid[0], grid[n - 1], grid[n]]).toEqual([sigmaMax, sigmaMin, 0]);
          for (let i = 1; i <= n; i++) expect(grid[i]!).toBeLessThan(grid[i - 1]!);
        }
      }),
      { numRuns: 60 },
    );
  });
  it('equal EDM’s formula', () => {
    const grid = karras(3, { sigmaMin: 0.002, sigmaMax: 80 });
    expect(grid[1]).toBeCloseTo(((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7, 12);
  });
  it.each([
    [0, { sigmaMin: 0.1, sigmaMax: 1 }],
    [-3, { sigmaMin: 0.1, sigmaMax: 1 }],
    [2.5, { sigmaMin: 0.1, sigmaMax: 1 }],
    [5, { sigmaMin: 0, sigmaMax: 1 }],
    [5, { sigmaMin: 2, sigmaMax: 1 }],
    [5, { sigmaMin: 0.1, sigmaMax: Number.NaN }],
  ])('refuse %s steps over %o', (steps, range_) => {
    for (const grid of [karras, exponential, linear]) expect(() => grid(steps, range_)).toThrow(OptionError);
  });
});

describe('solvers', () => {
  const x = float32([1.5, -0.5, 0.25], [1, 3]);
  const sigmas = karras(6, { sigmaMin: 0.05, sigmaMax: 10 });
  const solvers: Record<string, Solver<object>> = { euler, heun, dpmpp2m, deisRk, eulerAncestral, dpm2, dpm2Ancestral, dpmpp2sAncestral, lms, dpmppSde, dpmpp2mSde, dpmpp3mSde };
  for (const [name, solver] of Object.entries(solvers)) {
    it(`${name} lands on a constant denoiser's answer`, async () => {
      const constant: Denoise = async (y) => float32([0.3, -0.7, 0.1], y.shape);
      const end = await floats(await finish(solver(constant, x, sigmas)));
      end.forEach((v, i) => expect(v).toBeCloseTo([0.3, -0.7, 0.1][i]!, 6));
    });
    it(`${name} yields every step with σ and leaves the caller's x alone`, async () => {
      const seen: number[] = [];
      const steps = solver(gaussian(0, 0.5).denoise, x, sigmas);
      for await (const step of steps) seen.push(step.sigma);
      expect(seen).toEqual([...sigmas.subarray(0, 6)]);
      expect([...x.data]).toEqual([1.5, -0.5, 0.25]);
    });
    it(`${name} frees what it made, also when the consumer stops early`, async () => {
      let alive = 0;
      const device = { id: 'counting', lincomb: (terms: readonly (readonly [number, Tensor])[]) => track(terms[0]![1].shape), fromHost: (t: Tensor) => track(t.shape) };
      const track = (shape: readonly number[]): Tensor<'float32'> => {
        alive++;
        let freed = false;
        return { dtype: 'float32', shape, device, toHost: () => Promise.reject(new Error('not needed')), dispose: () => void (freed || ((freed = true), alive--)) };
      };
      const start = track([1, 3]);
      const denoise: Denoise = async (y) => track(y.shape);
      const options = { noise: (shape: readonly number[]) => track(shape) };
      const end = await finish(solver(denoise, start, sigmas, options));
      expect(alive).toBe(2); // the caller's start and the returned end
      end.dispose();
      for await (const step of solver(denoise, start, sigmas, options)) if (step.index === 2) break;
      expect(alive).toBe(1);
    });
    it(`${name} refuses a grid that does not decrease`, async () => {
      for (const bad of [[1, 2], [1, 1], [1], [1, -0.5], [Number.NaN, 0]]) {
        await expect(finish(solver(gaussian(0, 1).denoise, x, Float64Array.from(bad)))).rejects.toThrow(SigmaRangeError);
      }
    });
  }

  it('refuse to add noise to a flow model', async () => {
    const flow = gaussian(0, 1, flowAlpha).denoise;
    await expect(finish(eulerAncestral(flow, x, Float64Array.of(0.9, 0.5, 0)))).rejects.toThrow(CapabilityError);
    await expect(finish(heun(flow, x, Float64Array.of(0.9, 0.5, 0), { churn: 3 }))).rejects.toThrow(CapabilityError);
  });

  it('euler ancestral samples the target: mean and standard deviation of 4096 samples', async () => {
    const n = 4096;
    const [mean, std] = [0.4, 0.5];
    const top = 20;
    const noise = seededNoise(5);
    const start = (await noise([1, n], 1, 0)) as Tensor & { data: Float32Array };
    const grid = karras(120, { sigmaMin: 0.01, sigmaMax: top });
    const end = await floats(await finish(eulerAncestral(gaussian(mean, std).denoise, float32(start.data.map((v) => v * top), [1, n]), grid, { noise })));
    const m = end.reduce((a, b) => a + b, 0) / n;
    const s = Math.sqrt(end.reduce((a, b) => a + (b - m) ** 2, 0) / (n - 1));
    expect(Math.abs(m - mean)).toBeLessThan((4 * std) / Math.sqrt(n)); // 4 standard errors
    expect(Math.abs(s / std - 1)).toBeLessThan(0.06); // discretisation at 120 steps plus 4 standard errors (0.044)
  });

  it('heun with churn samples the target too', async () => {
    const n = 2048;
    const noise = seededNoise(6);
    const start = (await noise([1, n], 1, 0)) as Tensor & { data: Float32Array };
    const grid = karras(60, { sigmaMin: 0.01, sigmaMax: 20 });
    const end = await floats(await finish(heun(gaussian(0, 0.5).denoise, float32(start.data.map((v) => v * 20), [1, n]), grid, { churn: 20, noise })));
    const s = Math.sqrt(end.reduce((a, b) => a + b * b, 0) / n);
    expect(Math.abs(s / 0.5 - 1)).toBeLessThan(0.08);
  });
});
