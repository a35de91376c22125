import { float32, type Denoise, type Tensor } from '@ediffi/core';
import { edmAlpha, flowAlpha, gaussian, mixture, type Alpha } from '@ediffi/core/testing';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { deisRk, dpm2, dpmpp2m, dpmpp2mSde, dpmpp2sAncestral, dpmpp3mSde, dpmppSde, euler, heun, lms, type Solver } from './index.js';

/** Order of every deterministic solver; the stochastic ones are tested by their statistics. A file without a row fails. */
const rows: { file: string; name: string; order: number; calls: number; solve: Solver; edm?: boolean }[] = [
  { file: 'euler', name: 'euler', order: 1, calls: 1, solve: euler },
  { file: 'heun', name: 'heun', order: 2, calls: 2, solve: heun },
  { file: 'dpmpp-2m', name: 'dpmpp2m', order: 2, calls: 1, solve: dpmpp2m },
  { file: 'dpm2', name: 'dpm2', order: 2, calls: 2, solve: dpm2 },
  ...[1, 2, 3, 4].map((order) => ({ file: 'lms', name: `lms ${order}`, order: Math.min(order, 2), calls: 1, solve: ((d, x, s) => lms(d, x, s, { order })) as Solver })), // orders 3 and 4 start with an Euler step, whose local error O(h²) bounds the global order by 2
  // The stochastic ones without noise: their deterministic part, EDM only.
  { file: 'dpmpp-2s-ancestral', name: 'dpmpp2sAncestral η=0', order: 2, calls: 2, edm: true, solve: (d, x, s) => dpmpp2sAncestral(d, x, s, { eta: 0 }) },
  { file: 'dpmpp-sde', name: 'dpmppSde η=0', order: 2, calls: 2, edm: true, solve: (d, x, s) => dpmppSde(d, x, s, { eta: 0 }) },
  { file: 'dpmpp-2m-sde', name: 'dpmpp2mSde η=0', order: 2, calls: 1, edm: true, solve: (d, x, s) => dpmpp2mSde(d, x, s, { eta: 0 }) },
  { file: 'dpmpp-2m-sde', name: 'dpmpp2mSde heun η=0', order: 2, calls: 1, edm: true, solve: (d, x, s) => dpmpp2mSde(d, x, s, { eta: 0, correction: 'heun' }) },
  { file: 'dpmpp-3m-sde', name: 'dpmpp3mSde η=0', order: 2, calls: 1, edm: true, solve: (d, x, s) => dpmpp3mSde(d, x, s, { eta: 0 }) },
  ...(['midpoint', 'heun2', 'kutta3', 'rk4'] as const).map((tableau) => ({
    file: 'deis-rk',
    name: `deisRk ${tableau}`,
    order: { midpoint: 2, heun2: 2, kutta3: 3, rk4: 4 }[tableau],
    calls: { midpoint: 2, heun2: 2, kutta3: 3, rk4: 4 }[tableau],
    solve: ((d, x, s) => deisRk(d, x, s, { tableau })) as Solver,
  })),
];
const stochastic = ['euler-ancestral', 'dpm2-ancestral'];
const helpers = ['solver', 'loop', 'churn', 'ancestral', 'brownian'];

async function run(solve: Solver, denoise: Denoise, x: Tensor, sigmas: Float64Array): Promise<{ end: Float32Array; calls: number }> {
  let calls = 0;
  const counted = Object.assign((y: Tensor, s: number) => (calls++, denoise(y, s)), denoise.alpha ? { alpha: denoise.alpha } : {});
  const steps = solve(counted, x, sigmas);
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return { end: (value as Tensor & { data: Float32Array }).data, calls };
  }
}

/** Uniform in σ over a range where both oracles are smooth and float32 still resolves the error. */
const uniform = (n: number, from: number, to: number): Float64Array => Float64Array.from({ length: n + 1 }, (_, i) => from + (i / n) * (to - from));
const start = [-2.1, -0.7, 0.4, 1.3, 2.6];

const targets: { name: string; alpha: Alpha; from: number; to: number }[] = [
  { name: 'EDM', alpha: edmAlpha, from: 1.6, to: 0.4 },
  { name: 'flow', alpha: flowAlpha, from: 0.85, to: 0.3 },
];
const components = [
  { weight: 0.6, mean: -0.8, std: 0.9 },
  { weight: 0.4, mean: 0.9, std: 0.7 },
];

describe('order of convergence', () => {
  it('has a row for every solver file', () => {
    const files = readdirSync(new URL('solvers/', import.meta.url)).filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'));
    const known = new Set([...rows.map((r) => r.file), ...stochastic, ...helpers]);
    expect(files.map((f) => f.replace('.ts', '')).filter((f) => !known.has(f))).toEqual([]);
  });

  for (const { name, order, calls, solve, edm } of rows) {
    for (const { name: target, alpha, from, to } of targets.slice(0, edm ? 1 : 2)) {
      for (const oracle of ['gaussian', 'mixture'] as const) {
        it(`${name} has order ${order} on the ${oracle}, ${target}`, async () => {
          const model = oracle === 'gaussian' ? gaussian(0.3, 0.6, alpha) : mixture(components, alpha);
          const exact = start.map((x) => model.solve(x, from, to));
          const errors: number[] = [];
          const steps = order === 4 ? [4, 8] : order === 3 ? [8, 16] : order === 2 ? [16, 32, 64] : [32, 64, 128];
          for (const n of steps) {
            const { end, calls: used } = await run(solve, model.denoise, float32(start, [1, start.length]), uniform(n, from, to));
            expect(used).toBe(calls * n);
            errors.push(Math.max(...exact.map((e, i) => Math.abs(e - end[i]!))));
          }
          const slope = Math.log2(errors[errors.length - 2]! / errors[errors.length - 1]!);
          expect(slope, `errors ${errors.map((e) => e.toExponential(2)).join(' ')}`).toBeGreaterThan(order - 0.35);
          expect(errors.at(-1)).toBeGreaterThan(3e-8);
        });
      }
    }
  }
});
