import { nearest } from '@ediffi/core';
import type { CardSigns, ModelCard } from './card.js';

/** A word of a prompt that the model has never seen, and the known words that look most like it. */
export interface UnknownWord {
  readonly word: string;
  readonly nearest: readonly string[];
}

/** Every word the model knows, lower-case, each once. */
export const knownWords = (card: Pick<ModelCard, 'words'>): readonly string[] => [...new Set(Object.values(card.words).flat().map((word) => word.toLowerCase()))];

/** Whether a word is written on signs rather than known: capitals only, no more than were trained. */
export const isSpelled = (word: string, signs?: CardSigns): boolean => signs !== undefined && word.length <= signs.longest && [...word].every((letter) => signs.letters.includes(letter));

/** Words of `prompt` that occurred in no training caption and are not spelled, in the order of the prompt, each once; compared without case. */
export function unknownWords(prompt: string, card: Pick<ModelCard, 'words' | 'signs'>): UnknownWord[] {
  const known = knownWords(card);
  const words = new Map((prompt.match(/[\p{L}\p{N}][\p{L}\p{N}\p{M}'’]*/gu) ?? []).map((word) => [word.toLowerCase(), word]));
  const candidates = known.filter((word) => word.length > 1);
  return [...words].filter(([key, word]) => !known.includes(key) && !isSpelled(word, card.signs)).map(([, word]) => ({ word, nearest: nearest(word, candidates, 3) }));
}
