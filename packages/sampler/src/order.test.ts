import { edmAlpha, flowAlpha, gaussian, mixture, type Alpha } from '@ediffi/core/testing';
import type { Denoise, Tensor } from '@ediffi/core';
import { readdirSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { ddim, deis, deisRk, dpm2, dpm2Ancestral, dpmFast, dpmMultistep, dpmSinglestep, dpmpp2m, dpmpp2mSde, dpmpp2sAncestral, dpmpp3mSde, dpmppSde, euler, eulerAncestral, heun, ipndm, lms, pndm, saSolver, tcd, unipc, type Past, type Solver } from './index.js';
import { wide, wideDenoise, type Wide } from './testing/float64.js';

/**
 * Order of every deterministic solver, on a float64 device. `memory`: a multistep solver is started from exact earlier answers (data, noise or dx/dσ), since a
 * first step of order 1 would bound the order of the whole by 2. `grid`: even in σ, in ρ = σ/α or in λ, where the rule's weights ask for it.
 */
interface Row { file: string; name: string; order: number; calls?: (n: number) => number; memory?: 'data' | 'noise' | 'slope'; grid?: 'rho' | 'lambda'; steps?: readonly [number, number]; solve: Solver }
const zero = { noise: (shape: readonly number[]): Tensor => wide(new Float64Array(shape[0]!)) };
const bound = (solver: Solver, options: object): Solver => (d, x, s, more) => solver(d, x, s, { ...options, ...more });
const twice = (n: number): number => 2 * n;
const rows: readonly Row[] = [
  { file: 'euler', name: 'euler', order: 1, solve: euler },
  { file: 'ddim', name: 'ddim', order: 1, solve: ddim },
  { file: 'euler-ancestral', name: 'eulerAncestral η = 0', order: 1, solve: bound(eulerAncestral, { eta: 0 }) },
  { file: 'tcd', name: 'tcd γ = 0', order: 1, solve: bound(tcd, { eta: 0 }) },
  { file: 'heun', name: 'heun', order: 2, calls: twice, solve: heun },
  { file: 'dpm2', name: 'dpm2', order: 2, calls: twice, solve: dpm2 },
  { file: 'dpm2-ancestral', name: 'dpm2Ancestral η = 0', order: 2, calls: twice, solve: bound(dpm2Ancestral, { eta: 0 }) },
  { file: 'dpmpp-2s-ancestral', name: 'dpmpp2sAncestral η = 0', order: 2, calls: twice, solve: bound(dpmpp2sAncestral, { eta: 0 }) },
  { file: 'dpmpp-sde', name: 'dpmppSde η = 0', order: 2, calls: twice, solve: bound(dpmppSde, { eta: 0 }) },
  { file: 'dpmpp-2m', name: 'dpmpp2m', order: 2, memory: 'data', solve: dpmpp2m },
  { file: 'dpmpp-2m-sde', name: 'dpmpp2mSde η = 0', order: 2, memory: 'data', solve: bound(dpmpp2mSde, { eta: 0 }) },
  { file: 'dpmpp-2m-sde', name: 'dpmpp2mSde heun η = 0', order: 2, memory: 'data', solve: bound(dpmpp2mSde, { eta: 0, type: 'heun' }) },
  { file: 'dpmpp-3m-sde', name: 'dpmpp3mSde η = 0', order: 2, memory: 'data', solve: bound(dpmpp3mSde, { eta: 0 }) },
  ...[1, 2, 3].flatMap((order): Row[] => [
    { file: 'dpm-multistep', name: `dpmMultistep ++ ${order}`, order, memory: 'data', solve: bound(dpmMultistep, { order }) },
    { file: 'dpm-multistep', name: `dpmMultistep ++ ${order} heun`, order, memory: 'data', solve: bound(dpmMultistep, { order, type: 'heun' }) },
    { file: 'dpm-multistep', name: `dpmMultistep noise ${order}`, order, memory: 'noise', solve: bound(dpmMultistep, { order, algorithm: 'dpmsolver' }) },
    { file: 'dpm-singlestep', name: `dpmSinglestep ++ ${order}`, order, grid: 'lambda', steps: [24, 48], solve: bound(dpmSinglestep, { order }) },
    { file: 'dpm-singlestep', name: `dpmSinglestep noise ${order} heun`, order, grid: 'lambda', steps: [24, 48], solve: bound(dpmSinglestep, { order, algorithm: 'dpmsolver', type: 'heun' }) },
    { file: 'unipc', name: `unipc bh1 ${order}`, order: order + 1, memory: 'data', solve: bound(unipc, { order, variant: 'bh1', lowerOrderFinal: false }) },
    { file: 'unipc', name: `unipc bh2 ${order}`, order: order + 1, memory: 'data', solve: bound(unipc, { order, lowerOrderFinal: false }) },
    { file: 'unipc', name: `unipc noise ${order}`, order: order + 1, memory: 'noise', solve: bound(unipc, { order, prediction: 'noise', lowerOrderFinal: false }) },
    { file: 'deis', name: `deis ${order}`, order, memory: 'noise', solve: bound(deis, { order }) },
  ]),
  ...([[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 3, 3], [3, 3, 3], [3, 4, 4]] as const).flatMap(([predictorOrder, correctorOrder, order]): Row[] =>
    (['data', 'noise'] as const).map((prediction) => ({ file: 'sa-solver', name: `saSolver τ = 0 ${prediction} p${predictorOrder}c${correctorOrder}`, order, memory: prediction, ...(predictorOrder === correctorOrder && { steps: [predictorOrder === 2 ? 160 : 40, 640] as const }), solve: bound(saSolver, { predictorOrder, correctorOrder, prediction, tau: 0, lowerOrderFinal: false, ...zero }) })),
  ),
  ...[1, 2, 3, 4].flatMap((order): Row[] => [
    { file: 'lms', name: `lms ${order}`, order, memory: 'slope', solve: bound(lms, { order }) },
    { file: 'ipndm', name: `ipndm ${order}`, order, memory: 'noise', grid: 'rho', solve: bound(ipndm, { order }) },
  ]),
  { file: 'pndm', name: 'pndm PRK', order: 4, calls: (n) => n + 9, grid: 'rho', solve: pndm },
  { file: 'pndm', name: 'pndm PLMS', order: 4, memory: 'noise', grid: 'rho', solve: bound(pndm, { skipPrk: true }) },
  { file: 'dpm-fast', name: 'dpmFast', order: 3, steps: [29, 59], solve: dpmFast },
  ...(['midpoint', 'heun2', 'kutta3', 'rk4'] as const).map((tableau): Row => {
    const stages = { midpoint: 2, heun2: 2, kutta3: 3, rk4: 4 }[tableau];
    return { file: 'deis-rk', name: `deisRk ${tableau}`, order: stages, calls: (n) => stages * n, steps: stages === 4 ? [16, 32] : [32, 64], solve: bound(deisRk, { tableau }) };
  }),
];
/** Tested by their statistics (statistics.test.ts) or their own tests. */
const otherwise = ['ddpm', 'lcm', 'consistency', 'restart', 'dpm-adaptive'];
const helpers = ['solver', 'loop', 'churn', 'dpm-terms', 'dpm-steps'];

const components = [{ weight: 0.6, mean: -0.8, std: 0.9 }, { weight: 0.4, mean: 0.9, std: 0.7 }];
const start = Array.from({ length: 12 }, (_, i) => -2.2 + i * 0.43).filter((_, i) => i % 2 === 0);
/** Two intervals each, so that an error that happens to change its sign in one of them does not make up a slope. */
const targets: { name: string; alpha: Alpha; spans: readonly (readonly [from: number, to: number])[] }[] = [
  { name: 'EDM', alpha: edmAlpha, spans: [[1.6, 0.4], [1.1, 0.25]] },
  { name: 'flow', alpha: flowAlpha, spans: [[0.62, 0.3], [0.5, 0.15]] },
];
const depth = 3;
const table: string[] = [];
afterAll(() => console.log(['solver                                 order   measured slope: EDM gaussian, mixture; flow gaussian, mixture', ...table].join('\n')));

function gridOf(n: number, from: number, to: number, alpha: Alpha, even: Row['grid'], before: number): Float64Array {
  const [f, back] = even === 'rho' ? [(s: number) => s / alpha(s), (r: number) => (alpha(0.5) === 1 ? r : r / (1 + r))] : even === 'lambda' ? [(s: number) => Math.log(s / alpha(s)), (l: number) => (alpha(0.5) === 1 ? Math.exp(l) : 1 / (1 + Math.exp(-l)))] : [(s: number) => s, (s: number) => s];
  return Float64Array.from({ length: n + 1 + before }, (_, k) => ((i) => (i === 0 ? from : i === n ? to : back(f(from) + (i / n) * (f(to) - f(from)))))(k - before));
}

async function errorOf(row: Row, n: number, model: { at(x: number, s: number): number; solve(x: number, a: number, b: number): number }, alpha: Alpha, [from, to]: readonly [number, number], ends: readonly number[]): Promise<number> {
  const sigmas = gridOf(n, from, to, alpha, row.grid, row.memory ? depth : 0); // with memory: `depth` exact points above the start
  let calls = 0;
  const exact = wideDenoise(model.at, alpha);
  const denoise: Denoise = Object.assign((y: Tensor, s: number) => (calls++, exact(y, s)), { alpha });
  const at = (k: number): Wide => wide(Float64Array.from(start, (v) => model.solve(v, from, sigmas[k]!)));
  const past = (k: number): Past => {
    const [x, s] = [at(k), sigmas[k]!];
    const d = x.data.map((v) => model.at(v, s));
    return { sigma: s, value: wide(row.memory === 'data' ? d : d.map((v, i) => (x.data[i]! - (row.memory === 'noise' ? alpha(s) : 1) * v) / s)), x, noise: wide(new Float64Array(start.length)) };
  };
  const resume = row.memory ? { resume: { index: depth, history: [2, 1, 0].map(past) } } : {};
  const steps = row.solve(denoise, row.memory ? at(depth) : wide(Float64Array.from(start)), sigmas, resume);
  for (;;) {
    const { done, value } = await steps.next();
    if (!done) continue;
    if (!row.memory) expect(calls).toBe(row.calls?.(n) ?? n);
    return Math.sqrt(ends.reduce((sum, e, i) => sum + (e - (value as Wide).data[i]!) ** 2, 0));
  }
}

describe('order of convergence', () => {
  it('has a row for every solver file', () => {
    const files = readdirSync(new URL('solvers/', import.meta.url)).filter((f) => f.endsWith('.ts') && !f.endsWith('.test.ts'));
    const known = new Set([...rows.map((r) => r.file), ...otherwise, ...helpers]);
    expect(files.map((f) => f.replace('.ts', '')).filter((f) => !known.has(f))).toEqual([]);
  });
  for (const row of rows) {
    it(`${row.name} has order ${row.order}`, async () => {
      const slopes: number[] = [];
      for (const target of targets) {
        for (const oracle of ['gaussian', 'mixture'] as const) {
          const g = gaussian(0.3, 0.75, target.alpha);
          const m = mixture(components, target.alpha);
          const v = (s: number): number => (target.alpha(s) * 0.75) ** 2 + s * s;
          const model = oracle === 'gaussian' ? { solve: g.solve, at: (x: number, s: number) => 0.3 + ((target.alpha(s) * 0.5625) / v(s)) * (x - target.alpha(s) * 0.3) } : { at: m.at, solve: (x: number, a: number, b: number) => (a === b ? x : m.solve(x, a, b, 500)) };
          const ends = target.spans.map(([from, to]) => start.map((x) => model.solve(x, from, to)));
          const [a, b] = row.steps ?? (row.order === 4 ? [40, 80] : row.memory ? [40, 160] : [40, 80]);
          const error = async (n: number): Promise<number> => Math.hypot(...(await Promise.all(target.spans.map((span, i) => errorOf(row, n, model, target.alpha, span, ends[i]!)))));
          const [first, second] = [await error(a), await error(b)];
          const slope = Math.log(first / second) / Math.log((row.file === 'dpm-fast' ? Math.floor(b / 3) + 1 : b) / (row.file === 'dpm-fast' ? Math.floor(a / 3) + 1 : a));
          slopes.push(slope);
          expect.soft(slope, `${target.name} ${oracle}: errors ${first.toExponential(2)} ${second.toExponential(2)}`).toBeGreaterThan(row.order - 0.3);
        }
      }
      table.push(`${row.name.padEnd(40)}${row.order}   ${slopes.map((s) => s.toFixed(2)).join('  ')}`);
    });
  }
});
