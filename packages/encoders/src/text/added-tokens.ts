/* Tokens that stand beside the model's vocabulary, such as </s>: cut out of a prompt before it is normalized, or taken for plain text. */
import { cutAt, stringOf, type AlignedText } from './aligned-text.js';
import { escaped, SPACE } from './pattern.js';
import type { Normalizer } from './normalizers.js';

/** One entry of `added_tokens`. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  /** Looked for in the normalized text instead of in the prompt. */
  readonly normalized?: boolean;
  /** Takes the white space before (after) it along. */
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
}

/** A run of normalized text, or an added token with the text that it was typed as. */
export interface Section {
  readonly text: AlignedText;
  readonly id?: number;
}

/** Cuts the given tokens out of a text, the longest where several begin at one place. */
function cut(text: AlignedText, tokens: readonly AddedToken[]): Section[] {
  if (tokens.length === 0) return [{ text }];
  const ids = new Map(tokens.map(({ content, id }) => [content.trim(), id]));
  const longest = [...tokens].sort((a, b) => b.content.length - a.content.length);
  const spaces = (wanted: boolean | undefined): string => (wanted ? `[${SPACE}]*` : '');
  const pattern = longest.map(({ content, lstrip, rstrip }) => `${spaces(lstrip)}${escaped(content)}${spaces(rstrip)}`).join('|');
  return cutAt(text, new RegExp(pattern, 'gu')).map(({ text: piece, match }): Section => (match ? { text: piece, id: ids.get(stringOf(piece).trim())! } : { text: piece }));
}

/** Prompt → sections of normalized text and added tokens. `special`: whether special tokens typed in a prompt are tokens. */
export function sectionsOf(tokens: readonly AddedToken[], normalize: Normalizer, text: AlignedText, special: boolean): Section[] {
  const wanted = tokens.filter((token) => special || !token.special);
  const raw = cut(text, wanted.filter((token) => !token.normalized));
  return raw.flatMap((section) => (section.id === undefined ? cut(normalize(section.text), wanted.filter((token) => token.normalized)) : [section]));
}
