import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CudaGenerator, OptionError, Generator, philox4x32, randn, randnBatch } from '../index.js';

interface Case {
  readonly id: string;
  readonly fn: string;
  readonly args: { seed: number | string; offset: number; counter: number[]; key: number[]; n: number; dtype?: string; low: number; high: number; shape?: number[] };
  readonly values: (number | string)[];
  readonly values_f64_arith?: number[];
  readonly values_f32_arith?: number[];
  readonly atol?: number;
  readonly steps?: { op: string; n: number; values: number[] }[];
}
const { cases } = JSON.parse(readFileSync(new URL('../../golden/random.json', import.meta.url), 'utf8')) as { cases: Case[] };
const seedOf = (seed: number | string): bigint => BigInt(seed);

function compare(actual: ArrayLike<number>, expected: readonly (number | string)[], exact: boolean, single: boolean, what: string): void {
  expect(actual.length, what).toBe(expected.length);
  expected.forEach((e, i) => {
    const wanted = single ? Math.fround(Number(e)) : Number(e);
    if (exact) expect(actual[i], `${what} [${i}]`).toBe(wanted);
    else expect(Math.abs(actual[i]! - wanted), `${what} [${i}]`).toBeLessThanOrEqual(1e-6);
  });
}

describe('Generator equals torch.Generator on the CPU', () => {
  const handled = ['raw_uint32', 'rand', 'randn', 'randint', 'randperm', 'sequence'];
  for (const fn of handled) {
    const own = cases.filter((c) => c.fn === fn);
    it(`${fn}: ${own.length} cases`, () => {
      expect(own.length).toBeGreaterThan(0);
      for (const { id, args, values, steps } of own) {
        const g = new Generator(seedOf(args.seed));
        const single = args.dtype !== 'float64';
        if (fn === 'raw_uint32') compare(values.map(() => g.uint32()), values, true, false, id);
        if (fn === 'rand') compare(single ? g.uniforms(args.n) : values.map(() => g.uniform64()), values, true, single, id);
        if (fn === 'randn') {
          const n = args.n ?? args.shape!.reduce((a, b) => a * b, 1);
          const drawn = single ? g.normals(n) : g.normals64(n);
          compare(drawn.slice(0, values.length), values, n < 16 && single, single, id);
        }
        if (fn === 'randint') compare(values.map(() => g.integer(Number(args.low), Number(args.high))), values, true, false, id);
        if (fn === 'randperm') compare(g.permutation(args.n), values, true, false, id);
        for (const step of steps ?? []) {
          const draws: Record<string, () => ArrayLike<number>> = {
            randn: () => g.normals(step.n),
            rand: () => g.uniforms(step.n),
            randint10: () => step.values.map(() => g.integer(0, 10)),
            rand64: () => step.values.map(() => g.uniform64()),
            randn64: () => g.normals64(step.n),
            randperm: () => g.permutation(step.n),
          };
          const draw = draws[step.op];
          expect(draw, `${id}: ${step.op}`).toBeDefined();
          compare(draw!(), step.values, !step.op.startsWith('randn'), step.op === 'rand' || step.op === 'randn', `${id} ${step.op}`);
        }
      }
    });
  }

  it('leaves no golden case of its own out', () => {
    const elsewhere = ['philox4x32_10', 'philox_randn', 'BrownianTreeNoiseSampler']; // below, and in @ediffi/sampler
    expect([...new Set(cases.map((c) => c.fn))].filter((fn) => !handled.includes(fn) && !elsewhere.includes(fn))).toEqual([]);
  });

  it('gives each picture of a batch its own stream', () => {
    const batch = randnBatch([3, 8, 8], [5, 6]);
    expect(batch.shape).toEqual([2, 3, 8, 8]);
    expect(batch.data.subarray(192)).toEqual(randn([3, 8, 8], 6).data);
  });

  it('refuses seeds that are no whole number', () => {
    for (const seed of [-1, 1.5, Number.NaN]) expect(() => new Generator(seed)).toThrow(OptionError);
  });
});

describe('Philox, the CUDA generator', () => {
  const words = cases.filter((c) => c.fn === 'philox4x32_10');
  it(`equals Random123: ${words.length} known answers`, () => {
    expect(words.length).toBeGreaterThan(0);
    for (const { id, args, values } of words) {
      expect(philox4x32(args.counter as [number, number, number, number], args.key as [number, number]), id).toEqual(values);
    }
  });
  const draws = cases.filter((c) => c.fn === 'philox_randn');
  it(`equals CUDA's normals: ${draws.length} cases`, () => {
    expect(draws.length).toBeGreaterThan(0);
    for (const { id, args, values, values_f64_arith, values_f32_arith, atol } of draws) {
      const got = new CudaGenerator(seedOf(args.seed), args.offset).normals(args.shape!.reduce((a, b) => a * b, 1));
      const expected = values_f64_arith ?? values.map(Number);
      expect(got.length, id).toBe(expected.length);
      expected.forEach((e, i) => expect(Math.abs(got[i]! - e), `${id} [${i}]`).toBeLessThanOrEqual(values_f64_arith ? 2.5e-7 * Math.max(1, Math.abs(e)) : atol!));
      values_f32_arith?.forEach((e, i) => expect(Math.abs(got[i]! - e), `${id} [${i}] in float32`).toBeLessThanOrEqual(atol!));
    }
  });
  it('advances by one offset per draw and feeds randn', () => {
    const generator = new CudaGenerator(42);
    generator.normals(5);
    expect(generator.normals(16)).toEqual(new CudaGenerator(42, 1).normals(16));
    expect(randn([4, 4], new CudaGenerator(42, 1)).data).toEqual(new CudaGenerator(42, 1).normals(16));
    for (const seed of [-1, 0.5, Number.NaN]) expect(() => new CudaGenerator(seed)).toThrow(OptionError);
    expect(() => new CudaGenerator(2n ** 64n)).toThrow(OptionError);
  });
});
