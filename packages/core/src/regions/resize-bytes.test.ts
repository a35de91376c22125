import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { OptionError, resizeBytes, type BytesFilter } from '../index.js';

interface Golden {
  readonly filter: BytesFilter;
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly data: readonly number[];
  readonly resized: readonly number[];
}
const { cases } = JSON.parse(readFileSync(new URL('../../golden/pillow.json', import.meta.url), 'utf8')) as { cases: Golden[] };

describe('resizeBytes', () => {
  it('gives the bytes that Pillow gives', () => {
    expect(cases.length).toBe(15);
    for (const { filter, from, to, data, resized } of cases) expect([...resizeBytes(Uint8Array.from(data), 3, ...from, ...to, filter)], `${filter} ${from.join('×')} → ${to.join('×')}`).toEqual(resized);
  });

  it('copies what has the size already, and knows its filters', () => {
    const data = Uint8Array.of(1, 2, 3, 4);
    const same = resizeBytes(data, 1, 2, 2, 2, 2, 'lanczos');
    expect([...same]).toEqual([1, 2, 3, 4]);
    expect(same).not.toBe(data);
    expect(() => resizeBytes(data, 1, 2, 2, 1, 1, 'box' as BytesFilter)).toThrow(OptionError);
  });
});
