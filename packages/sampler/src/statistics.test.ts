/*
 * Stochastic solvers sample the right distribution: mean, variance and covariance of N samples of a known target.
 * Confidence: each statistic is compared within 4.5 standard errors plus a stated discretisation bias, so that a right solver fails less than once in 10⁵ runs
 * of a test (seeds are fixed anyway). Strong order is not claimed.
 */
import { float32, floats, randn, type Denoise, type HostTensor, type Tensor } from '@ediffi/core';
import { edmAlpha, flowAlpha, gaussian, mixture, type Alpha } from '@ediffi/core/testing';
import { describe, expect, it } from 'vitest';
import { brownianNoise, consistency, ddim, ddpm, dpm2Ancestral, dpmAdaptive, dpmFast, dpmMultistep, dpmSinglestep, dpmpp2mSde, dpmpp2sAncestral, dpmpp3mSde, dpmppSde, euler, eulerAncestral, heun, karras, lcm, restart, saSolver, seededNoise, tcd, type Solver } from './index.js';

const N = 4096;
const vpAlpha: Alpha = (s) => Math.sqrt(Math.max(0, 1 - s * s));
const bound = (solver: Solver, options: object): Solver => (d, x, s, more) => solver(d, x, s, { ...options, ...more });
/** `bias`: relative discretisation error of the standard deviation at these steps. */
const rows: { name: string; solver: Solver; bias?: number; only?: readonly string[]; brownian?: boolean }[] = [
  { name: 'eulerAncestral', solver: eulerAncestral, bias: 0.05 },
  { name: 'ddim η = 1', solver: bound(ddim, { eta: 1 }), bias: 0.05 },
  { name: 'ddim η = 0.5', solver: bound(ddim, { eta: 0.5 }), bias: 0.05 },
  { name: 'ddpm', solver: ddpm, bias: 0.05 },
  { name: 'ddpm large', solver: bound(ddpm, { variance: 'large' }), bias: 0.06 },
  { name: 'dpm2Ancestral', solver: dpm2Ancestral, only: ['EDM'] },
  { name: 'dpmpp2sAncestral', solver: dpmpp2sAncestral },
  { name: 'dpmppSde', solver: dpmppSde, brownian: true },
  { name: 'dpmpp2mSde', solver: dpmpp2mSde, brownian: true },
  { name: 'dpmpp2mSde heun', solver: bound(dpmpp2mSde, { type: 'heun' }), brownian: true },
  { name: 'dpmpp3mSde', solver: dpmpp3mSde, brownian: true },
  { name: 'dpmMultistep sde ++ 2', solver: bound(dpmMultistep, { algorithm: 'sde-dpmsolver++' }) },
  { name: 'dpmMultistep sde ++ 3', solver: bound(dpmMultistep, { algorithm: 'sde-dpmsolver++', order: 3 }) },
  { name: 'dpmMultistep sde noise 2', solver: bound(dpmMultistep, { algorithm: 'sde-dpmsolver' }), bias: 0.02 },
  { name: 'dpmSinglestep sde ++ 2', solver: bound(dpmSinglestep, { algorithm: 'sde-dpmsolver++', order: 2 }), bias: 0.05, brownian: true },
  { name: 'saSolver τ = 1', solver: saSolver },
  { name: 'saSolver τ = 0.5 p3c4', solver: bound(saSolver, { tau: 0.5, predictorOrder: 3, correctorOrder: 4 }) },
  { name: 'euler churn', solver: bound(euler, { churn: 20 }), bias: 0.05, only: ['EDM'] },
  { name: 'heun churn', solver: bound(heun, { churn: 20 }), only: ['EDM'] },
  { name: 'restart', solver: restart, only: ['EDM'] },
  { name: 'dpmFast η = 0.5', solver: bound(dpmFast, { eta: 0.5 }), bias: 0.03, only: ['EDM', 'VP'] },
  { name: 'dpmAdaptive η = 0.5', solver: bound(dpmAdaptive, { eta: 0.5, rtol: 0.005 }), bias: 0.05, only: ['EDM', 'VP'] },
];
const worlds: Record<string, { alpha: Alpha; grid: Float64Array }> = {
  EDM: { alpha: edmAlpha, grid: karras(60, { sigmaMin: 0.01, sigmaMax: 40 }) },
  VP: { alpha: vpAlpha, grid: karras(60, { sigmaMin: 0.01, sigmaMax: 40 }).map((s) => s / Math.hypot(1, s)) },
  flow: { alpha: flowAlpha, grid: karras(60, { sigmaMin: 0.01, sigmaMax: 150 }).map((s) => s / (1 + s)) },
};

async function samples(solver: Solver, denoise: Denoise, grid: Float64Array, brownian = false): Promise<Float32Array> {
  const start = randn([1, N], 11);
  const steps = solver(denoise, float32(start.data.map((v) => v * grid[0]!), [1, N]), grid, { noise: brownian ? brownianNoise(5) : seededNoise(12) });
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return floats(value);
  }
}
const meanOf = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

describe('stochastic solvers sample the target', () => {
  for (const { name, solver, bias = 0.012, only, brownian } of rows) {
    for (const [world, { alpha, grid }] of Object.entries(worlds).filter(([w]) => !only || only.includes(w))) {
      it(`${name}, ${world}: mean and standard deviation of N(0.4, 0.5²), N = ${N}`, async () => {
        const end = await samples(solver, gaussian(0.4, 0.5, alpha).denoise, grid, brownian);
        const m = meanOf(end);
        const s = Math.sqrt(meanOf(end.map((v) => (v - m) ** 2)));
        expect(Math.abs(m - 0.4), `mean ${m}`).toBeLessThan((4.5 * 0.5) / Math.sqrt(N) + 0.4 * bias);
        expect(Math.abs(s / 0.5 - 1), `standard deviation ${s}`).toBeLessThan(4.5 / Math.sqrt(2 * N) + bias);
      });
    }
  }

  it('a mixture’s weights, means and spreads come out (dpmpp2mSde, EDM)', async () => {
    const parts = [{ weight: 0.7, mean: -1, std: 0.2 }, { weight: 0.3, mean: 1.5, std: 0.3 }];
    const end = await samples(dpmpp2mSde, mixture(parts).denoise, worlds['EDM']!.grid, true);
    for (const [i, part] of parts.entries()) {
      const own = end.filter((v) => v < 0.3 === (i === 0));
      expect(Math.abs(own.length / N - part.weight)).toBeLessThan(4.5 * Math.sqrt((0.7 * 0.3) / N) + 0.01);
      const m = meanOf(own);
      expect(Math.abs(m - part.mean)).toBeLessThan((4.5 * part.std) / Math.sqrt(own.length) + 0.01);
      expect(Math.abs(Math.sqrt(meanOf(own.map((v) => (v - m) ** 2))) / part.std - 1)).toBeLessThan(4.5 / Math.sqrt(2 * own.length) + 0.03);
    }
  });

  it('covariance of two correlated coordinates (eulerAncestral, dpmppSde, saSolver; EDM)', async () => {
    // x₀ ~ N(0, S): D(x; σ) = S·(S + σ²)⁻¹·x, in the eigenbasis (1, ±1)/√2 with variances 0.9 and 0.1.
    const [p, q] = [0.9, 0.1];
    const denoise: Denoise = async (x: Tensor, sigma: number) => {
      const data = (x as HostTensor).data;
      const out = new Float32Array(data.length);
      for (let i = 0; i < data.length; i += 2) {
        const [u, v] = [((data[i]! + data[i + 1]!) / 2) * (p / (p + sigma ** 2)), ((data[i]! - data[i + 1]!) / 2) * (q / (q + sigma ** 2))];
        out[i] = u + v;
        out[i + 1] = u - v;
      }
      return float32(out, x.shape);
    };
    for (const solver of [eulerAncestral, dpmppSde, saSolver] as Solver[]) {
      const end = await samples(solver, denoise, worlds['EDM']!.grid, solver === dpmppSde);
      const products = Array.from({ length: N / 2 }, (_, i) => [end[2 * i]! ** 2, end[2 * i + 1]! ** 2, end[2 * i]! * end[2 * i + 1]!]);
      const [a, b, c] = [0, 1, 2].map((k) => meanOf(products.map((r) => r[k]!))) as [number, number, number];
      const [variance, covariance] = [(p + q) / 2, (p - q) / 2];
      const error = 4.5 / Math.sqrt(N / 2);
      expect(Math.abs(a / variance - 1)).toBeLessThan(error * Math.SQRT2 + 0.06);
      expect(Math.abs(b / variance - 1)).toBeLessThan(error * Math.SQRT2 + 0.06);
      expect(Math.abs(c - covariance)).toBeLessThan(error * Math.sqrt(variance ** 2 + covariance ** 2) + 0.03);
    }
  });

  it('consistency-type solvers land on the function’s answer, whatever the noise', async () => {
    // The consistency function of N(0, s²): where the ODE from (x, σ) ends. Every step keeps the marginals, so the samples are the target’s.
    const s = 0.5;
    for (const [alpha, list] of [[edmAlpha, [lcm, consistency, tcd]], [flowAlpha, [lcm, tcd]], [vpAlpha, [lcm, tcd]]] as [Alpha, Solver[]][]) {
      const ends: Denoise = Object.assign(async (x: Tensor, sigma: number) => float32((x as HostTensor).data.map((v) => (v * s) / Math.sqrt((alpha(sigma) * s) ** 2 + sigma ** 2)), x.shape), { alpha });
      const grid = alpha === edmAlpha ? Float64Array.of(40, 5, 1, 0.2, 0) : Float64Array.of(0.999, 0.8, 0.5, 0.2, 0);
      for (const solver of list) {
        const end = await samples(solver === consistency ? bound(consistency, { sigmaMin: 0 }) : solver, ends, grid);
        if (solver !== tcd) expect(Math.abs(Math.sqrt(meanOf(end.map((v) => v * v))) / s - 1), solver.name).toBeLessThan(4.5 / Math.sqrt(2 * N) + 0.005);
        else expect(end.every(Number.isFinite)).toBe(true); // its answer is a picture and an ε, which this function does not have
      }
    }
  });
});

describe('Brownian noise', () => {
  const at = (noise: ReturnType<typeof brownianNoise>, a: number, b: number, shape = [1, 64]): number[] => [...((noise(shape, a, b) as HostTensor).data as Float32Array)].map((v) => v * Math.sqrt(a - b));
  it('is one path, however it is asked', () => {
    const [one, two] = [brownianNoise(7), brownianNoise(7)];
    const pairs = [[14.6, 3.2], [3.2, 1.1], [1.1, 0.03], [5, 0.9], [80, 0.002]] as const;
    const forward = pairs.map(([a, b]) => at(one, a, b));
    const backward = [...pairs].reverse().map(([a, b]) => at(two, a, b)).reverse();
    expect(forward).toEqual(backward);
    expect(at(brownianNoise(8), 5, 1)).not.toEqual(at(brownianNoise(7), 5, 1));
  });
  it('adds up: halving the steps refines the same path', () => {
    const noise = brownianNoise(3);
    let grid = [10, 0.1];
    const whole = at(noise, 10, 0.1);
    for (let level = 0; level < 5; level++) {
      grid = grid.flatMap((s, i) => (i + 1 < grid.length ? [s, Math.sqrt(s * grid[i + 1]!)] : [s]));
      const sum = new Array<number>(64).fill(0);
      grid.slice(1).forEach((s, i) => at(noise, grid[i]!, s).forEach((v, k) => (sum[k]! += v)));
      sum.forEach((v, k) => expect(v).toBeCloseTo(whole[k]!, 4));
    }
  });
  it('has unit variance per interval and independent increments (N = 20 000, 4.5 standard errors)', () => {
    const n = 20_000;
    const noise = brownianNoise(5);
    const [a, b] = [(noise([n], 8, 3) as HostTensor).data, (noise([n], 3, 0.7) as HostTensor).data];
    for (const z of [a, b]) expect(Math.abs(meanOf(z.map((v) => v * v)) - 1)).toBeLessThan(4.5 * Math.sqrt(2 / n));
    expect(Math.abs(meanOf(a.map((v, i) => v * b[i]!)))).toBeLessThan(4.5 / Math.sqrt(n));
    const overlap = (noise([n], 8, 0.7) as HostTensor).data;
    expect(Math.abs(meanOf(overlap.map((v, i) => v * a[i]!)) - Math.sqrt(5 / 7.3))).toBeLessThan(4.5 / Math.sqrt(n));
  });
  it('is standard normal, independent and one path for σ as close as float32 tells apart', () => {
    const n = 8000;
    const noise = brownianNoise(5);
    const draw = (a: number, b: number): Float32Array => (noise([n], a, b) as HostTensor).data as Float32Array;
    const [e, f] = [2 ** -23, Math.fround];
    for (const [a, b, c] of [[1.0005, 1.0004, 1.0003], [1.00051, 1.0005, 1.00049], [40.01, 40.005, 40], [1.3 + 4e-8, 1.3 + 2e-8, 1.3], [f(14.6) + 16 * e, f(14.6) + 8 * e, f(14.6)], [2 + e, 2, 2 - e]] as const) {
      const [one, two, both] = [draw(a, b), draw(b, c), draw(a, c)];
      for (const z of [one, two, both]) expect(Math.abs(meanOf(z.map((v) => v * v)) - 1), `variance of ${a} → ${b} → ${c}`).toBeLessThan(4.5 * Math.sqrt(2 / n));
      expect(Math.abs(meanOf(one.map((v, i) => v * two[i]!))), `${a} → ${b} → ${c}`).toBeLessThan(4.5 / Math.sqrt(n));
      expect(both[7]! * Math.sqrt(a - c)).toBeCloseTo(one[7]! * Math.sqrt(a - b) + two[7]! * Math.sqrt(b - c), 6);
    }
  });
  it('gives a picture the same noise in any batch, and refuses what is no interval', () => {
    const pair = (brownianNoise([4, 9])([2, 3], 2, 1) as HostTensor).data;
    expect([...pair.subarray(0, 3)]).toEqual([...(brownianNoise(4)([1, 3], 2, 1) as HostTensor).data]);
    expect([...pair.subarray(3)]).toEqual([...(brownianNoise(9)([1, 3], 2, 1) as HostTensor).data]);
    for (const [a, b] of [[1, 0], [1, 1], [Infinity, 1]] as const) expect(() => brownianNoise(1)([1], a, b)).toThrow(/Brownian/);
    expect(() => brownianNoise(-1)).toThrow(/seed/);
  });
});
