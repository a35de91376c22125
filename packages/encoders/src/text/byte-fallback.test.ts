import { describe, expect, it } from 'vitest';
import { PromptTokenizer } from './tokenizer.js';

const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
const made = (model: object): PromptTokenizer => new PromptTokenizer({ version: '1.0', added_tokens: [], normalizer: null, pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true }, post_processor: null, decoder: null, model }, { length: 16 });
const letters: [string, number][] = [['<unk>', 0], ['▁', -3], ['a', -3], ['b', -3], ['▁a', -2.5]];
/** Ids: <unk> 0, ▁ 1, a 2, b 3, ▁a 4, byte n 5 + n. */
const unigram = (known: readonly string[]): PromptTokenizer => made({ type: 'Unigram', unk_id: 0, byte_fallback: true, vocab: [...letters, ...known.map((name) => [name, -20])] });
/** Ids: <unk> 0, ▁ 1, a 2, b 3, byte n 4 + n. */
const pairs = (known: readonly string[], options: object = {}): PromptTokenizer =>
  made({ type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true, merges: [], vocab: Object.fromEntries([...letters.slice(0, 4).map(([name]) => name), ...known].map((name, id) => [name, id])), ...options });
const read = (tokenizer: PromptTokenizer, prompt: string): unknown => {
  const { ids, used, spans, unknown } = tokenizer.encode(prompt);
  return [ids.slice(0, used), spans.map(({ start, end }) => [start, end]), unknown];
};

// Ids and offsets are those of Hugging Face's tokenizers 0.23.3 for these models.
describe('byte fallback', () => {
  it('of Unigram: a run of unknown characters is its bytes, each standing for the run', () => {
    const tokenizer = unigram(bytes);
    expect(read(tokenizer, 'ab')).toEqual([[4, 3], [[0, 1], [1, 2]], []]);
    expect(read(tokenizer, 'a☃b')).toEqual([[4, 231, 157, 136, 3], [[0, 1], [1, 2], [1, 2], [1, 2], [2, 3]], []]);
    expect(read(tokenizer, 'é☃b')).toEqual([[1, 200, 174, 231, 157, 136, 3], [[0, 1], [0, 2], [0, 2], [0, 2], [0, 2], [0, 2], [2, 3]], []]);
    expect(read(tokenizer, '<0x41>')).toEqual([[1, 70], [[0, 1], [0, 6]], []]); // typed, it is its token
  });

  it('of Unigram without all bytes of a run: one <unk>', () => {
    expect(read(unigram(bytes.slice(0, 128)), 'é☃b')).toEqual([[1, 0, 3], [[0, 1], [0, 2], [2, 3]], ['é☃']]);
    expect(read(unigram([]), 'a<unk>b')).toEqual([[4, 0, 3], [[0, 1], [1, 6], [6, 7]], ['<unk>']]);
  });

  it('of BPE: an unknown character is its bytes, each standing for it', () => {
    const tokenizer = pairs(bytes);
    expect(read(tokenizer, 'a☃b')).toEqual([[1, 2, 230, 156, 135, 3], [[0, 1], [0, 1], [1, 2], [1, 2], [1, 2], [2, 3]], []]);
    expect(read(tokenizer, '😀x')).toEqual([[1, 244, 163, 156, 132, 124], [[0, 2], [0, 2], [0, 2], [0, 2], [0, 2], [2, 3]], []]);
    expect(read(tokenizer, '<0x41>')).toEqual([[1, 64, 52, 124, 56, 53, 66], [[0, 1], [0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]], []]);
  });

  it('of BPE without the bytes: <unk>, one for a run or one for each character', () => {
    expect(read(pairs(bytes.slice(0, 128)), 'a☃éb')).toEqual([[1, 2, 0, 3], [[0, 1], [0, 1], [1, 3], [3, 4]], ['☃é']]);
    expect(read(pairs([], { byte_fallback: false, fuse_unk: false }), 'a☃éb')).toEqual([[1, 2, 0, 0, 3], [[0, 1], [0, 1], [1, 2], [2, 3], [3, 4]], ['☃', 'é']]);
  });
});
