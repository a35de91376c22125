import { describe, expect, it } from 'vitest';
import { SigmaRangeError } from '@ediffi/core';
import { BrownianTree, brownianNoise } from './index.js';

const grid = Float64Array.of(10, 5, 2, 1, 0.5, 0);

describe('Brownian path', () => {
  it('is the same however it is asked', () => {
    const [a, b] = [new BrownianTree(3, 32, 0.5, 10), new BrownianTree(3, 32, 0.5, 10)];
    const times = [7.3, 0.6, 5, 9.99, 2.22, 0.5, 10];
    const forward = times.map((t) => a.at(t));
    const backward = [...times].reverse().map((t) => b.at(t)).reverse();
    forward.forEach((v, i) => expect(v).toEqual(backward[i]));
  });
  it('is refined, not redrawn, by smaller steps', () => {
    const noise = brownianNoise(4, grid);
    const read = (from: number, to: number): number[] => [...(noise([1, 8], from, to) as unknown as { data: Float32Array }).data].map((v) => v * Math.sqrt(from - to));
    const [whole, first, second] = [read(5, 1), read(5, 2), read(2, 1)];
    whole.forEach((v, i) => expect(v).toBeCloseTo(first[i]! + second[i]!, 5));
  });
  it('has independent increments of variance Δσ', () => {
    const tree = new BrownianTree(5, 20000, 0, 8);
    const [w1, w3, w8] = [tree.at(1), tree.at(3), tree.at(8)];
    const mean = (f: (i: number) => number): number => w1.reduce((s, _, i) => s + f(i), 0) / w1.length;
    const within = (value: number, target: number, error: number): void => expect(Math.abs(value - target)).toBeLessThan(4 * error);
    within(mean((i) => w1[i]! ** 2), 1, Math.SQRT2 / Math.sqrt(20000));
    within(mean((i) => (w3[i]! - w1[i]!) ** 2), 2, (2 * Math.SQRT2) / Math.sqrt(20000));
    within(mean((i) => (w8[i]! - w3[i]!) * (w3[i]! - w1[i]!)), 0, Math.sqrt(10) / Math.sqrt(20000));
  });
  it('differs by seed and refuses σ outside', () => {
    expect(new BrownianTree(1, 4, 0, 1).at(0.5)).not.toEqual(new BrownianTree(2, 4, 0, 1).at(0.5));
    expect(() => new BrownianTree(1, 4, 0, 1).at(2)).toThrow(SigmaRangeError);
  });
});
