import { columnsOf, type AttentionRecord, type Conditioning } from '@ediffi/core';

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

/** Per word, the key columns of its tokens in the given encoders (all that read it). Row 0 of the conditioning is looked at. */
export function wordColumns(words: readonly Word[], runs: readonly ColumnRun[], { embeddings }: Conditioning, encoders?: readonly string[]): number[][] {
  const seen = runs.flatMap(({ name, offset, length }) => {
    const spans = encoders && !encoders.includes(name) ? [] : (embeddings[name]?.spans[0] ?? []);
    return spans.filter(({ column }) => column < length).map((span) => ({ ...span, column: offset + span.column }));
  });
  return words.map((word) => columnsOf(seen, [word]));
}
