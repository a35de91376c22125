import { columnsOf, findPhrase, OptionError } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { clipTokenizerJson } from './clip-json.js';
import { PromptTokenizer } from './tokenizer.js';
import { weightedText } from './weights.js';
import { promptWindows } from './windows.js';

interface Golden { text: string; read: boolean; windows: number[][]; spans: [column: number, start: number, end: number][]; weights?: number[][] }
const file = (path: string): Buffer => readFileSync(new URL(path, import.meta.url));
const vocabularies = '../../../ediffi/parity/tokenizers';
const clipJson = clipTokenizerJson({ vocab: JSON.parse(file(`${vocabularies}/clip/vocab.json`).toString()) as Record<string, number>, merges: file(`${vocabularies}/clip/merges.txt`).toString() });
const clip = new PromptTokenizer(clipJson, { length: 77, padId: 49407 });
const golden = JSON.parse(gunzipSync(file('../../golden/long-prompts.json.gz')).toString()) as Record<'sd15' | 'sdxl', Golden[]>;

/** Offset in code points → UTF-16 units. */
const unit = (text: string, codePoints: number): number => Array.from(text).slice(0, codePoints).join('').length;

describe('promptWindows equals A1111’s algorithm (golden/make_long_prompts.py): ids, weights, places', () => {
  const cases = [...golden.sd15.map((g) => [g.text.slice(0, 60), g, clip] as const), ...golden.sdxl.map((g) => [`padded with "!": ${g.text.slice(0, 40)}`, g, new PromptTokenizer(clipJson, { length: 77, padId: 0 })] as const)];
  it.each(cases)('%j', (_, { text, read, windows, spans, weights }, tokenizer) => {
    const got = promptWindows(tokenizer, text, { long: true, weights: read });
    expect(got.windows.map(({ ids }) => ids)).toEqual(windows);
    expect(got.windows.flatMap((window, i) => window.spans.map(({ start, end, column }) => [77 * i + column, start, end]))).toEqual(spans.map(([column, start, end]) => [column, unit(text, start), unit(text, end)]));
    expect(got.windows.map((window) => window.weights ?? Array<number>(77).fill(1))).toEqual(weights ?? windows.map((row) => row.map(() => 1)));
  });
});

describe('weightedText', () => {
  const read = (prompt: string): unknown[] => weightedText(prompt).map((part) => (part === 'break' ? part : [part.text, Number(part.weight.toFixed(6))]));
  it('reads what A1111 documents', () => {
    expect(read('a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).')).toEqual([['a ', 1], ['house', 1.573], [' ', 1.1], ['on', 1], [' a ', 1.1], ['hill', 0.55], [', sun, ', 1.1], ['sky', 1.4641], ['.', 1.1]]);
    expect(read('(unnecessary)(parens)')).toEqual([['unnecessaryparens', 1.1]]);
    expect(read('\\(literal\\]')).toEqual([['(literal]', 1]]);
    expect(read('(unbalanced')).toEqual([['unbalanced', 1.1]]);
    expect(read('')).toEqual([]);
  });
  it('breaks between brackets too', () => {
    expect(read('(a BREAK b:1.2)')).toEqual([['a', 1.2], 'break', ['b', 1.2]]);
  });
  it('refuses a weight that is no number', () => {
    expect(() => weightedText('(cat:1.2.3)')).toThrow(OptionError);
    expect(() => weightedText('(cat:.)')).toThrow(/a number such as 1.2/);
  });
});

describe('promptWindows', () => {
  const list = Array.from({ length: 100 }, (_, i) => (i % 2 ? 'castle' : 'apple')).join(' ');
  it('cuts and reports where prompts are not long, and then BREAK separates words', () => {
    const { windows, truncated, beyond } = promptWindows(clip, list);
    expect(windows).toHaveLength(1);
    expect(truncated).toBe(list.slice(windows[0]!.spans.at(-1)!.end).trim());
    expect(beyond).toBeUndefined();
    expect(windows[0]!.ids).toEqual(clip.encode(list).ids);
    expect(promptWindows(clip, 'a cat BREAK a (dog:1.5)', { weights: true }).windows).toEqual([{ ...promptWindows(clip, 'a cat       a  dog').windows[0]!, weights: expect.arrayContaining([1.5]) as number[], spans: expect.anything() as [] }]);
    expect(promptWindows(clip, 'a cat BREAK').windows[0]!.ids).not.toEqual(clip.encode('a cat').ids); // text, as weights are off
  });
  it('says what lies beyond the first window, and cuts nothing', () => {
    const { windows, truncated, beyond } = promptWindows(clip, list, { long: true });
    expect(windows.map(({ used }) => used)).toEqual([77, 27]);
    expect([truncated, beyond]).toEqual([undefined, list.slice(windows[0]!.spans.at(-1)!.end).trim()]);
  });
  it('finds painted phrases of a weighted prompt in the columns of any window', () => {
    const prompt = `${list}, (a red fox:1.3) BREAK \\(the\\) red fox`;
    const { windows } = promptWindows(clip, prompt, { long: true, weights: true });
    const spans = windows.flatMap((window, i) => window.spans.map((span) => ({ ...span, column: span.column + 77 * i })));
    const [first, second] = findPhrase(prompt, 'red fox').map((range) => columnsOf(spans, [range]));
    expect(windows).toHaveLength(3);
    expect([first, second]).toEqual([[77 + 28, 77 + 29], [154 + 4, 154 + 5]]);
    expect(windows[1]!.weights!.slice(27, 31)).toEqual([1.3, 1.3, 1.3, 1]);
    expect(columnsOf(spans, findPhrase(prompt, '\\(the'))).toEqual([154 + 1, 154 + 2]);
  });
  it('cuts after a comma where SentencePiece puts a ▁ before a comma alone', () => {
    const t5 = new PromptTokenizer(JSON.parse(file(`${vocabularies}/t5/tokenizer.json`).toString()) as object, { length: 14 });
    const prompt = 'a red car, a blue cat, a green dog on the beach in the snow';
    expect(t5.tokens(',')).toHaveLength(2);
    const { windows } = promptWindows(t5, prompt, { long: true });
    expect(windows.map(({ spans }) => prompt.slice(spans[0]!.start, spans.at(-1)!.end))).toEqual(['a red car, a blue cat,', ' a green dog on the beach in the snow']);
  });
  it('fills windows to the end without a backtrack', () => {
    const commas = `${'word '.repeat(70)}, ${'word '.repeat(20)}`;
    expect(promptWindows(clip, commas, { long: true, backtrack: 0 }).windows.map(({ used }) => used)).toEqual([77, 18]);
    expect(promptWindows(clip, commas, { long: true }).windows.map(({ used }) => used)).toEqual([73, 22]);
    expect(() => promptWindows(clip, 'a', { backtrack: -1 })).toThrow(OptionError);
  });
});
