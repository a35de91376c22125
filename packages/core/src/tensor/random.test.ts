import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OptionError, Generator, randn, randnBatch } from '../index.js';

interface Case {
  readonly id: string;
  readonly fn: string;
  readonly args: { seed: number | string; n: number; dtype?: string; low: number; high: number; shape?: number[] };
  readonly values: (number | string)[];
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

  it('gives each picture of a batch its own stream', () => {
    const batch = randnBatch([3, 8, 8], [5, 6]);
    expect(batch.shape).toEqual([2, 3, 8, 8]);
    expect(batch.data.subarray(192)).toEqual(randn([3, 8, 8], 6).data);
  });

  it('refuses seeds that are no whole number', () => {
    for (const seed of [-1, 1.5, Number.NaN]) expect(() => new Generator(seed)).toThrow(OptionError);
  });
});
