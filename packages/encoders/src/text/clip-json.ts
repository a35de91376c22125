import { ModelError } from '@ediffi/core';

/** The two files that CLIP repositories have in place of a tokenizer.json. */
export interface ClipVocabulary {
  /** vocab.json, parsed. */
  readonly vocab: Readonly<Record<string, number>>;
  /** merges.txt as text. */
  readonly merges: string;
}

/**
 * CLIP's tokenizer.json from vocab.json and merges.txt, as `transformers` builds it: NFC, white space to single spaces, lower case,
 * CLIP's pattern, bytes, BPE with </w>. Throws ModelError when the two do not fit each other.
 */
export function clipTokenizerJson({ vocab, merges }: ClipVocabulary): object {
  const [start, end] = ['<|startoftext|>', '<|endoftext|>'];
  if (typeof vocab !== 'object' || vocab === null || typeof vocab[start] !== 'number' || typeof vocab[end] !== 'number') throw new ModelError(`vocab.json: it lacks ${start} or ${end} — it is not CLIP's`, 'vocab.json');
  const lines = merges.split('\n').filter((line, i) => line.trim() !== '' && !(i === 0 && line.startsWith('#version')));
  const bad = lines.findIndex((line) => {
    const parts = line.trim().split(' ');
    return parts.length !== 2 || vocab[parts.join('')] === undefined;
  });
  if (lines.length === 0 || bad >= 0) throw new ModelError(`merges.txt: ${lines.length === 0 ? 'it is empty' : `line ${JSON.stringify(lines[bad])} makes no token of vocab.json`} — the two files are of different models`, 'merges.txt');
  return {
    version: '1.0',
    added_tokens: [
      { id: vocab[start], content: start, normalized: false, special: true },
      { id: vocab[end], content: end, normalized: false, special: true },
    ],
    normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' }, { type: 'Lowercase' }] },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" }, behavior: 'Removed', invert: true },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
      ],
    },
    post_processor: { type: 'RobertaProcessing', sep: [end, vocab[end]], cls: [start, vocab[start]], trim_offsets: false, add_prefix_space: false },
    decoder: null,
    model: { type: 'BPE', vocab, merges: lines.map((line) => line.trim()), unk_token: end, continuing_subword_prefix: '', end_of_word_suffix: '</w>' },
  };
}
