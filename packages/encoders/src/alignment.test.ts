import { describe, expect, it } from 'vitest';
import { alignment } from './alignment.js';

/** For each normalized unit, the part of the original it came from. */
const origins = (original: string, normalize: (text: string) => string): string[] => {
  const { text, start, end } = alignment(original, normalize);
  return Array.from(text, (_, i) => original.slice(start(i), end(i + 1)));
};
const lower = (text: string): string => text.toLowerCase();

describe('alignment', () => {
  it('of characters that lengthen: İ is two units in lower case', () => {
    expect(lower('aİb')).toHaveLength(4);
    expect(origins('aİb', lower)).toEqual(['a', 'İ', 'İ', 'b']);
  });

  it('of characters that merge: a letter and its combining mark', () => {
    expect(origins('xe\u0301y', (text) => text.normalize('NFC'))).toEqual(['x', 'e\u0301', 'y']);
  });

  it('of characters that vanish', () => {
    expect(origins('a-b', (text) => text.replace(/-/g, ''))).toEqual(['a', 'b']);
    expect(origins('xe\u0301y', (text) => text.normalize('NFD').replace(/\p{M}/gu, ''))).toEqual(['x', 'e\u0301', 'y']);
  });

  it('of rules that look at the whole text', () => {
    const collapse = (text: string): string => text.replace(/ +/g, ' ').trim();
    const { text, start, end } = alignment('  a   cat ', collapse);
    expect(text).toBe('a cat');
    expect(['a', 'cat'].map((word) => [start(text.indexOf(word)), end(text.indexOf(word) + word.length)])).toEqual([[2, 3], [6, 9]]);
  });

  it('takes time in proportion to the prompt', () => {
    const prompt = 'İstanbul a house '.repeat(3000);
    const started = performance.now();
    const { text, end } = alignment(prompt, lower);
    expect(end(text.length)).toBe(prompt.length);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
