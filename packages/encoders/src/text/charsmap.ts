/*
 * SentencePiece's precompiled character map: a double-array trie (Darts-clone) from UTF-8 bytes to offsets into NUL-separated replacements.
 * Layout: uint32 size of the trie in bytes, the trie, the replacements.
 */
import { ModelError } from '@ediffi/core';
import { base64Bytes, textOf, utf8Of } from './utf8.js';

const valueOf = (unit: number): number => unit & 0x7fffffff;
const labelOf = (unit: number): number => (unit & 0x800000ff) >>> 0;
const offsetOf = (unit: number): number => ((unit >>> 10) << ((unit & 0x200) >>> 6)) >>> 0;

/** Text → its replacement, or undefined where the map has none. Throws ModelError for a map that ends early. */
export function charsMap(base64: string): (text: string) => string | undefined {
  const bytes = base64Bytes(base64);
  const view = new DataView(bytes.buffer);
  const size = bytes.length >= 4 ? view.getUint32(0, true) : 0;
  if (size === 0 || size % 4 !== 0 || 4 + size > bytes.length) throw new ModelError(`tokenizer: its precompiled character map of ${bytes.length} bytes is damaged`, 'tokenizer.json');
  const trie = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const texts = bytes.subarray(4 + size);
  /** The shortest key that the text begins with decides, as in SentencePiece's port. */
  return (text) => {
    let node = offsetOf(trie[0]!);
    for (const byte of utf8Of(text)) {
      if (byte === 0) return undefined;
      node ^= byte;
      const unit = trie[node] ?? 0;
      if (labelOf(unit) !== byte) return undefined;
      node ^= offsetOf(unit);
      if ((unit >>> 8) & 1) {
        const from = valueOf(trie[node]!);
        const end = texts.indexOf(0, from);
        return textOf(texts.subarray(from, end < 0 ? texts.length : end));
      }
    }
    return undefined;
  };
}
