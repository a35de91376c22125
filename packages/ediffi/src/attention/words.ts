import { columnsOf, type AttentionRecord } from '@ediffi/core';

/** One word of the prompt as typed; with different texts per encoder, offsets are in all of them joined by line breaks. */
export interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The words of a text, in order; an inner apostrophe or hyphen belongs to its word. */
export function wordsOf(text: string): Word[] {
  return [...text.matchAll(/[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*/gu)].map(({ 0: word, index }) => ({ text: word, start: index, end: index + word.length }));
}

/** A run of key columns and who filled them: an encoder, or 'null' for what the network learnt to look at instead of any text. */
export interface ColumnRun {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/** The runs of a record's columns. */
export const runsOf = (columns: AttentionRecord['columns']): ColumnRun[] =>
  columns.map(({ input, encoder, offset, length }) => ({ name: encoder ?? (input === 'constant' ? 'null' : input), offset, length }));

/** Per word, the key columns of its tokens in the given encoders (all that read it), each once. */
export function wordColumns(words: readonly Word[], spans: AttentionRecord['spans'], encoders?: readonly string[]): number[][] {
  const seen = spans.filter(({ encoder }) => !encoders || encoder.split('+').some((name) => encoders.includes(name)));
  return words.map((word) => [...new Set(columnsOf(seen, [word]))]);
}
