import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { clipTokenizerJson } from './clip-json.js';
import { t5TokenizerJson } from './sentencepiece.js';
import { PromptTokenizer } from './tokenizer.js';

type Row = readonly [ids: number[], offsets: number[]];
interface Golden { text: string; clip: Row; t5: Row; t5Pieces: Row; clipParsed?: Row; t5Parsed?: Row; t5PiecesParsed?: Row }
const file = (path: string): Buffer => readFileSync(new URL(path, import.meta.url));
const vocabularies = '../../../ediffi/parity/tokenizers';
const json = {
  clip: clipTokenizerJson({ vocab: JSON.parse(file(`${vocabularies}/clip/vocab.json`).toString()) as Record<string, number>, merges: file(`${vocabularies}/clip/merges.txt`).toString() }),
  t5: JSON.parse(file(`${vocabularies}/t5/tokenizer.json`).toString()) as object,
  t5Pieces: t5TokenizerJson(new Uint8Array(file(`${vocabularies}/t5/spiece.model`))),
};
const { prompts } = JSON.parse(gunzipSync(file('../../golden/tokenizers.json.gz')).toString()) as { prompts: Golden[] };

/** Offsets in code points → UTF-16 units. */
function units(text: string, offsets: readonly number[]): number[] {
  const at = [0];
  for (const char of text) at.push(at.at(-1)! + char.length);
  return offsets.map((n) => at[n]!);
}

describe.each(['clip', 't5', 't5Pieces'] as const)('%s equals transformers: ids and offsets', (name) => {
  it.each(['text', 'parse'] as const)('special tokens in a prompt: %s', (specialTokens) => {
    const tokenizer = new PromptTokenizer(json[name], { length: 2000, specialTokens });
    expect(prompts.length).toBeGreaterThanOrEqual(500);
    const wrong: string[] = [];
    for (const golden of prompts) {
      const [ids, offsets] = (specialTokens === 'parse' && golden[`${name}Parsed`]) || golden[name];
      const before = name === 'clip' ? 1 : 0;
      const got = tokenizer.encode(golden.text);
      const spans = got.spans.flatMap(({ start, end }) => [start, end]);
      const wanted = units(golden.text, offsets.slice(2 * before, -2));
      if (JSON.stringify(got.ids.slice(0, got.used)) !== JSON.stringify(ids)) wrong.push(`ids ${JSON.stringify(golden.text)}: ${got.ids.slice(0, got.used).join(' ')} not ${ids.join(' ')}`);
      else if (JSON.stringify(spans) !== JSON.stringify(wanted)) wrong.push(`spans ${JSON.stringify(golden.text)}: ${spans.join(' ')} not ${wanted.join(' ')}`);
    }
    expect(wrong).toEqual([]);
  });
});
