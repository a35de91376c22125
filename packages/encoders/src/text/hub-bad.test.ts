import { CapabilityError, ModelError, OptionError } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clipTokenizerJson } from './clip-json.js';
import { hubTokenizer } from '../hub/hub-tokenizer.js';
import { t5TokenizerJson } from './sentencepiece.js';
import { PromptTokenizer } from './tokenizer.js';

const vocab = { a: 0, b: 1, 'a</w>': 2, 'b</w>': 3, 'ab</w>': 4, '<|startoftext|>': 5, '<|endoftext|>': 6 };
const json = clipTokenizerJson({ vocab, merges: '#version: 0.2\na b</w>\n' }) as Record<string, unknown>;
const t5 = JSON.parse(readFileSync(new URL('../../../ediffi/parity/tokenizers/t5/tokenizer.json', import.meta.url), 'utf8')) as Record<string, unknown> & { model: object };
const pieces = new Uint8Array(readFileSync(new URL('../../../ediffi/parity/tokenizers/t5/spiece.model', import.meta.url)));
/** Two pieces and TrainerSpec { model_type: BPE, unk_id: 0, eos_id: 1 }. */
const bpe = Uint8Array.of(10, 3, 10, 1, 97, 10, 3, 10, 1, 98, 18, 8, 24, 2, 0xc0, 2, 0, 0xd0, 2, 1);

describe('tokenizers that are none', () => {
  it.each([
    ['no vocabulary', () => new PromptTokenizer({ ...json, model: { ...(json['model'] as object), vocab: {}, merges: [] } }, { length: 8 }), ModelError],
    ['no model', () => new PromptTokenizer({ ...t5, model: null }, { length: 8 }), ModelError],
    ['CLIP without its special tokens', () => clipTokenizerJson({ vocab: { a: 0 }, merges: 'a b' }), ModelError],
    ['merges of another model', () => clipTokenizerJson({ vocab, merges: 'x y\n' }), ModelError],
    ['no merges', () => clipTokenizerJson({ vocab, merges: '#version: 0.2\n' }), ModelError],
    ['a special token that the vocabulary lacks', () => new PromptTokenizer({ ...t5, added_tokens: [], model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0], ['▁a', -1]] } }, { length: 8 }), ModelError],
    ['a damaged character map', () => new PromptTokenizer({ ...t5, normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } }, { length: 8 }), ModelError],
    ['a normalizer that is not known', () => new PromptTokenizer({ ...t5, normalizer: { type: 'Nmt' } }, { length: 8 }), CapabilityError],
    ['a pre-tokenizer that is not known', () => new PromptTokenizer({ ...t5, pre_tokenizer: { type: 'UnicodeScripts' } }, { length: 8 }), CapabilityError],
    ['a spiece.model that ends early', () => t5TokenizerJson(pieces.subarray(0, 1000)), ModelError],
    ['a spiece.model without its pieces', () => t5TokenizerJson(new Uint8Array(0)), ModelError],
    ['a spiece.model that is another file', () => t5TokenizerJson(Uint8Array.from({ length: 99 }, (_, i) => 255 - i)), ModelError],
    ['a spiece.model of byte pairs', () => t5TokenizerJson(bpe), CapabilityError],
    ['a folder without a vocabulary', () => hubTokenizer({ config: {} }), /neither tokenizer.json nor vocab.json with merges.txt nor spiece.model/],
    ['a length without room for a token', () => new PromptTokenizer(json, { length: 2 }), OptionError],
    ['an unknown treatment of special tokens', () => new PromptTokenizer(json, { length: 8, specialTokens: 'keep' as 'text' }), OptionError],
    ['a prompt that is no text', () => new PromptTokenizer(json, { length: 8 }).encode(3 as unknown as string), OptionError],
  ])('%s', (_, make, error) => expect(make).toThrow(error));
  it('a vocabulary of two letters tokenizes what it can spell', () => {
    const { ids, used, spans } = new PromptTokenizer(json, { length: 6, padId: 6 }).encode('AB a');
    expect([ids, used]).toEqual([[5, 4, 2, 6, 6, 6], 4]);
    expect(spans).toEqual([{ start: 0, end: 2, column: 1 }, { start: 3, end: 4, column: 2 }]);
  });
  it('lone surrogates are U+FFFD', () => {
    const tokenizer = new PromptTokenizer(t5, { length: 8 });
    expect(tokenizer.encode('\ud83d x').ids).toEqual(tokenizer.encode('\ufffd x').ids);
  });
});
