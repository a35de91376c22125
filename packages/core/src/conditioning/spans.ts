import { nearest } from '../errors/check.js';
import { PhraseError } from '../errors/errors.js';

/** Characters `[start, end)` of the prompt ↔ one token column of an encoder's sequence. */
export interface TokenSpan {
  readonly start: number;
  readonly end: number;
  readonly column: number;
}

/** Lower case of the same length: character offsets must hold (İ has a lower case of two characters and stays). */
const fold = (text: string): string => Array.from(text, (c) => (c.toLowerCase().length === c.length ? c.toLowerCase() : c)).join('');

const isWord = (character: string | undefined): boolean => character !== undefined && /[\p{L}\p{N}]/u.test(character);

/**
 * Character ranges of `phrase` in `prompt`, whole words, case-insensitive; `occurrence` (from 0) picks one, otherwise all.
 * Throws PhraseError naming the nearest words of the prompt.
 */
export function findPhrase(prompt: string, phrase: string, occurrence?: number): { start: number; end: number }[] {
  const needle = fold(phrase.trim());
  const hay = fold(prompt);
  const found: { start: number; end: number }[] = [];
  for (let at = needle ? hay.indexOf(needle) : -1; at >= 0; at = hay.indexOf(needle, at + 1)) {
    const end = at + needle.length;
    if (!(isWord(hay[at - 1]) && isWord(needle[0])) && !(isWord(hay[end]) && isWord(needle.at(-1)))) found.push({ start: at, end });
  }
  if (occurrence !== undefined && found.length > 0) {
    const one = found[occurrence];
    if (one) return [one];
    throw new PhraseError(`"${phrase}" occurs ${found.length} time(s) in the prompt, occurrence ${occurrence} was asked for (from 0)`, phrase, prompt, [phrase]);
  }
  if (found.length > 0) return found;
  const close = nearest(needle, prompt.match(/[\p{L}\p{N}]+/gu) ?? []);
  throw new PhraseError(
    `"${phrase}" is not in the prompt ${JSON.stringify(prompt)}${close.length ? ` — nearest: ${close.join(', ')}` : ''}; paint words that the prompt holds`,
    phrase,
    prompt,
    close,
  );
}

/** Token columns that overlap any of the character ranges. */
export function columnsOf(spans: readonly TokenSpan[], ranges: readonly { start: number; end: number }[]): number[] {
  return spans.filter((span) => ranges.some((range) => span.start < range.end && span.end > range.start)).map((span) => span.column);
}
