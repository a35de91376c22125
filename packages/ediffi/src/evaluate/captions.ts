import { Generator, integer } from '@ediffi/core';

/** `count` different items of a list in random order; the same for the same seed. Throws OptionError for more than there are. */
export function sampleCaptions<T>(items: readonly T[], count: number, seed: number): T[] {
  const n = integer('caption count', count, 1, items.length);
  const generator = new Generator(integer('seed', seed, 0, Number.MAX_SAFE_INTEGER));
  const pool = [...items];
  for (let i = 0; i < n; i++) {
    const k = generator.integer(i, pool.length);
    [pool[i], pool[k]] = [pool[k]!, pool[i]!];
  }
  return pool.slice(0, n);
}
