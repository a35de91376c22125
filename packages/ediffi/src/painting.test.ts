import { zeros } from '@ediffi/core';
import { describe, expect, it } from 'vitest';
import { painting } from './painting.js';
import type { GenerationStep } from './step.js';

const step = (index: number): GenerationStep => ({ stage: 'base', expert: 'high', index, count: 3, sigma: 1, sigmaNext: 0, x: zeros([1]), preview: () => Promise.reject(new Error('not asked for')) });

describe('painting', () => {
  let closed = 0;
  async function* source(fail = false): AsyncGenerator<GenerationStep, string, void> {
    try {
      for (let i = 0; i < 3; i++) yield step(i);
      if (fail) throw new Error('broken');
      return 'picture';
    } finally {
      closed++;
    }
  }

  it('gives its result after a loop, instead of one, and twice', async () => {
    const looped = painting(source());
    const seen: number[] = [];
    for await (const { index } of looped) seen.push(index);
    expect(seen).toEqual([0, 1, 2]);
    expect(await looped.finish()).toBe('picture');
    expect(await looped.finish()).toBe('picture');
    expect(await painting(source()).finish()).toBe('picture');
  });

  it('stops the work on break, and says so', async () => {
    closed = 0;
    const stopped = painting(source());
    for await (const _ of stopped) break;
    expect(closed).toBe(1);
    await expect(stopped.finish()).rejects.toThrow(/stopped before its last step/);
  });

  it('rejects with the error of the work, as often as asked', async () => {
    const failing = painting(source(true));
    await expect(failing.finish()).rejects.toThrow('broken');
    await expect(failing.finish()).rejects.toThrow('broken');
  });
});
