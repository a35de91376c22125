import { columnsOf, findPhrase, ModelError } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PromptTokenizer } from './tokenizer.js';

const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
const json = { t5: read('../../../model/tokenizers/t5-tokenizer.json') as object, clip: read('../../../model/tokenizers/clip-tokenizer.json') as object };
const t5 = new PromptTokenizer(json.t5, { length: 32 });
const clip = new PromptTokenizer(json.clip, { length: 24 });
const pieces = (prompt: string, tokenizer: PromptTokenizer): string[] => tokenizer.encode(prompt).spans.map(({ start, end }) => prompt.slice(start, end));

interface Golden {
  readonly text: string;
  readonly t5: { readonly ids: number[]; readonly offsets: [number, number][] };
  readonly clip: { readonly ids: number[]; readonly offsets: [number, number][] };
}

describe('ids and offsets equal the Rust tokenizers library (golden, UTF-16 units)', () => {
  for (const golden of read('./tokenizer.golden.json') as Golden[]) {
    it(JSON.stringify(golden.text), () => {
      for (const [tokenizer, wanted, before] of [[t5, golden.t5, 0], [clip, golden.clip, 1]] as const) {
        const { ids, spans } = tokenizer.encode(golden.text);
        expect(ids.slice(0, wanted.ids.length)).toEqual(wanted.ids);
        expect(ids.slice(wanted.ids.length).every((id) => id === 0)).toBe(true);
        expect(spans.map(({ start, end }) => [start, end])).toEqual(wanted.offsets.slice(before, -1));
        expect(spans.map((span) => span.column)).toEqual(spans.map((_, i) => before + i));
      }
    });
  }
});

describe('PromptTokenizer', () => {
  it('spells a sign in capitals letter by letter, each its own column', () => {
    expect(pieces('a sign that says HI', t5).slice(-2)).toEqual(['H', 'I']);
    expect(pieces('a sign that says HI', clip).at(-1)).toBe('HI');
  });

  it('gives every occurrence of a repeated word its own column', () => {
    const prompt = 'a cat and a cat next to a cat';
    expect(columnsOf(t5.encode(prompt).spans, findPhrase(prompt, 'cat'))).toEqual([1, 4, 8]);
    expect(columnsOf(clip.encode(prompt).spans, findPhrase(prompt, 'cat', 1))).toEqual([5]);
  });

  it('locates phrases after characters that take two units', () => {
    const prompt = '🍎🍎 a red apple';
    for (const tokenizer of [t5, clip]) {
      const { spans } = tokenizer.encode(prompt);
      const found = columnsOf(spans, findPhrase(prompt, 'red apple')).map((column) => spans.find((span) => span.column === column)!);
      expect(found.map(({ start, end }) => prompt.slice(start, end))).toEqual(['red', 'apple']);
    }
  });

  it('reports unknown words as they were typed, each once', () => {
    expect(t5.encode('a Zebra and a Zebra on the grass').unknown).toEqual(['Zebra']);
    expect(clip.encode('a red apple').unknown).toEqual([]);
  });

  it('reports the text that does not fit and has no spans for it', () => {
    const prompt = Array.from({ length: 40 }, (_, i) => (i % 2 ? 'red' : 'apple')).join(' ');
    const encoded = clip.encode(prompt);
    expect(encoded.ids).toHaveLength(24);
    expect(encoded.ids.at(-1)).toBe(2);
    expect(encoded.spans).toHaveLength(22);
    expect(encoded.truncated).toBe(prompt.slice(encoded.spans.at(-1)!.end).trim());
    expect(t5.encode('a red apple').truncated).toBeUndefined();
    expect(t5.encode(prompt).ids.at(-1)).toBe(1);
  });

  it('takes special tokens in a prompt for text', () => {
    const { ids } = t5.encode('a cat </s> <pad> a');
    expect(ids.filter((id) => id === 1)).toHaveLength(1);
  });

  it('refuses what is no tokenizer.json', () => {
    expect(() => new PromptTokenizer({ model: 3 }, { length: 8 })).toThrow(ModelError);
  });
});
