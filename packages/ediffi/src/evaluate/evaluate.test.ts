import { OptionError, randn, ShapeError } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bootstrap } from './bootstrap.js';
import { symmetricEigen } from './eigen.js';
import { frechetDistance, frechetOf, momentsOf, type Features } from './frechet.js';
import { kid } from './kid.js';

interface Golden { id: string; fn: string; in: Record<string, { data: number[]; shape: number[] }>; out: Record<string, number | { data: number[] }> }
const { cases } = JSON.parse(readFileSync(new URL('../../../core/golden/functions.json', import.meta.url), 'utf8')) as { cases: Golden[] };
const of = (fn: string): Golden[] => cases.filter((c) => c.fn === fn);
const answer = (c: Golden, name: string): number => (typeof c.out[name] === 'number' ? c.out[name] : (c.out[name] as { data: number[] }).data[0]!);
const features = ({ data, shape }: { data: number[]; shape: number[] }): Features => ({ data, width: shape[1]! });

describe('evaluation', () => {
  it.each(of('frechet_distance').map((c) => [c.id, c] as const))('%s equals scipy', (_, c) => {
    const moments = (k: 1 | 2): Parameters<typeof frechetDistance>[0] => ({ mean: Float64Array.from(c.in[`mu${k}`]!.data), covariance: Float64Array.from(c.in[`cov${k}`]!.data) });
    const want = answer(c, 'distance');
    expect(Math.abs(frechetDistance(moments(1), moments(2)) - want)).toBeLessThan(1e-6 * Math.max(1, want));
  });
  it.each(of('frechet_from_features').map((c) => [c.id, c] as const))('%s equals scipy', (_, c) => {
    const want = answer(c, 'distance');
    expect(Math.abs(frechetOf(features(c.in['a']!), features(c.in['b']!)) - want)).toBeLessThan(1e-6 * Math.max(1, want));
  });
  it.each(of('kid_mmd2_unbiased').map((c) => [c.id, c] as const))('%s equals numpy', (_, c) => {
    const want = answer(c, 'mmd2');
    expect(Math.abs(kid(features(c.in['x']!), features(c.in['y']!)) - want)).toBeLessThan(1e-12 * Math.max(1, Math.abs(want)));
  });
  it('a set is at distance 0 from itself, and shifted by v at |v|²', () => {
    const set = { data: randn([200, 6], 1).data, width: 6 };
    expect(frechetOf(set, set)).toBeLessThan(1e-9);
    expect(frechetOf(set, { data: set.data.map((v) => v + 0.5), width: 6 })).toBeCloseTo(1.5, 5);
    expect(kid(set, set)).toBeLessThan(0); // unbiased: the diagonal that the cross term has is missing elsewhere
  });
  it('eigenvectors are those of the matrix, also of one with a double eigenvalue', () => {
    const { covariance } = momentsOf({ data: randn([40, 12], 2).data, width: 12 });
    for (const [matrix, d] of [[covariance, 12], [Float64Array.of(2, 0, 0, 0, 2, 0, 0, 0, 5), 3]] as const) {
      const { values, vectors } = symmetricEigen(matrix, d);
      for (let k = 0; k < d; k++) for (let i = 0; i < d; i++) {
        let product = 0;
        for (let j = 0; j < d; j++) product += matrix[i * d + j]! * vectors[j * d + k]!;
        expect(product).toBeCloseTo(values[k]! * vectors[i * d + k]!, 10);
      }
    }
  });
  it('a bootstrap interval of a mean has its textbook width and is the same for the same seed', () => {
    const sample = randn([400], 3).data;
    const mean = (rows: readonly number[]): number => rows.reduce((sum, r) => sum + sample[r]!, 0) / rows.length;
    const estimate = bootstrap(400, mean, { draws: 2000, seed: 5 });
    expect(estimate.high - estimate.low).toBeGreaterThan(2 * 1.96 * 0.05 * 0.85);
    expect(estimate.high - estimate.low).toBeLessThan(2 * 1.96 * 0.05 * 1.15);
    expect(estimate.low < estimate.value && estimate.value < estimate.high).toBe(true);
    expect(bootstrap(400, mean, { draws: 2000, seed: 5 })).toEqual(estimate);
  });
  it('refuses what it cannot compare', () => {
    const two: Features = { data: [1, 2, 3, 4], width: 2 };
    expect(() => frechetOf(two, { data: [1, 2, 3, 4, 5, 6], width: 3 })).toThrow(ShapeError);
    expect(() => kid(two, { data: [1, 2, 3, 4, 5, 6], width: 3 })).toThrow(ShapeError);
    expect(() => frechetOf({ data: [1, 2, 3], width: 2 }, two)).toThrow(ShapeError);
    expect(() => frechetOf({ data: [1, 2], width: 2 }, two)).toThrow(ShapeError);
    expect(() => kid({ data: [1, 2, Number.NaN, 4], width: 2 }, two)).toThrow(OptionError);
    expect(() => bootstrap(3, () => 0, { confidence: 1.5 })).toThrow(OptionError);
  });
});
