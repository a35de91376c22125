/*
 * A prompt as windows of T columns. A long one goes on in further windows, each with its own special tokens, as A1111 and compel have it (75 tokens
 * and CLIP's two); otherwise what does not fit is cut and reported. A window is cut after a comma when one is among its last `backtrack` tokens.
 */
import { integer, type TokenSpan } from '@ediffi/core';
import type { PromptTokenizer, Token } from './tokenizer.js';
import { weightedText } from './weights.js';

/** How prompts are read. */
export interface ReadingOptions {
  /** A prompt longer than T goes on in further windows of T columns, one after the other along the tokens. Default false: what does not fit is cut and reported. */
  readonly long?: boolean;
  /** `(word:1.2)`, `((word))`, `[word]`, `\(` and BREAK are A1111's syntax. Default false: they are text. BREAK begins a new window where prompts are `long`, elsewhere it separates words. */
  readonly weights?: boolean;
  /** After weighting, scale each window so that the mean of its elements is what it was, as A1111 does. Default true. */
  readonly restoreMean?: boolean;
  /** Of `long` prompts: how far before its end a window may be cut after a comma, in tokens. Default 20, as A1111; 0: windows are full. */
  readonly backtrack?: number;
}

/** T columns of a prompt. */
export interface PromptWindow {
  /** `[T]`, padded. */
  readonly ids: readonly number[];
  /** How many ids are no padding. */
  readonly used: number;
  /** Columns from 0 to T − 1. */
  readonly spans: readonly TokenSpan[];
  /** `[T]`: by what each column's embedding is multiplied; absent where all are 1. */
  readonly weights?: readonly number[];
}

/** A prompt as windows, at least one. */
export interface WindowedPrompt {
  readonly windows: readonly PromptWindow[];
  /** Parts of the prompt that are `<unk>` to the model, as they were typed, each once. */
  readonly unknown: readonly string[];
  /** The end of the prompt that did not fit, as it was typed; absent when all of it did. */
  readonly truncated?: string;
  /** Of long prompts: the end that is not in the first window, as it was typed. */
  readonly beyond?: string;
}

interface Weighted extends Token {
  readonly weight: number;
}

/** A prompt as windows. Throws OptionError for a weight that is no number or a backtrack that is none. */
export function promptWindows(tokenizer: PromptTokenizer, prompt: string, options: ReadingOptions = {}): WindowedPrompt {
  const { long = false, weights = false, backtrack = 20 } = options;
  integer('backtrack', backtrack, 0);
  const parts = weights ? weightedTokens(tokenizer, prompt) : [tokenizer.tokens(prompt).map((token) => ({ ...token, weight: 1 }))];
  const all = parts.flatMap((part) => (part === 'break' ? [] : part));
  const rest = (from: Token | undefined): string | undefined => from && prompt.slice(from.start).trimEnd();
  const filled = long ? filledWindows(parts, tokenizer.room, comma(tokenizer), backtrack) : [all.slice(0, tokenizer.room)];
  const truncated = long ? undefined : rest(all[tokenizer.room]);
  const beyond = long ? rest(all[filled[0]!.length]) : undefined;
  return {
    windows: filled.map((tokens) => ({ ...tokenizer.window(tokens), ...(tokens.some(({ weight }) => weight !== 1) && { weights: weightsOf(tokenizer, tokens) }) })),
    unknown: [...new Set(all.filter((token) => token.unknown).map((token) => prompt.slice(token.start, token.end)))],
    ...(truncated !== undefined && { truncated }),
    ...(beyond !== undefined && { beyond }),
  };
}

/** The tokens of each text of one weight, in places of the prompt as it was typed. */
function weightedTokens(tokenizer: PromptTokenizer, prompt: string): (Weighted[] | 'break')[] {
  return weightedText(prompt).map((part) => {
    if (part === 'break') return part;
    const { text, starts, ends, weight } = part;
    return tokenizer.tokens(text).map((token) => ({ ...token, start: starts[token.start] ?? ends.at(-1) ?? 0, end: ends[token.end - 1] ?? starts[0] ?? 0, weight }));
  });
}

/** The id of a comma after a word, where it is one token: alone, SentencePiece puts a ▁ before it. */
function comma(tokenizer: PromptTokenizer): number | undefined {
  const last = tokenizer.tokens('a,').at(-1);
  return last?.start === 1 && !last.unknown ? last.id : undefined;
}

/** Tokens dealt to windows of at most `room`. */
function filledWindows(parts: readonly (readonly Weighted[] | 'break')[], room: number, commaId: number | undefined, backtrack: number): Weighted[][] {
  const done: Weighted[][] = [];
  let window: Weighted[] = [];
  let lastComma = -1; // its place in the window; the comma that a full window pushes into the next one does not count
  const next = (begin: Weighted[] = []): void => {
    done.push(window);
    [window, lastComma] = [begin, -1];
  };
  for (const part of parts) {
    if (part === 'break') next();
    else {
      for (const token of part) {
        const full = window.length === room;
        if (full && token.id !== commaId && lastComma >= 0 && room - lastComma <= backtrack) next(window.splice(lastComma + 1));
        if (window.length === room) next();
        else if (token.id === commaId) lastComma = window.length;
        window.push(token);
      }
    }
  }
  if (window.length > 0 || done.length === 0) next();
  return done;
}

function weightsOf(tokenizer: PromptTokenizer, tokens: readonly Weighted[]): number[] {
  const row = Array<number>(tokenizer.length).fill(1);
  tokens.forEach(({ weight }, i) => (row[tokenizer.prefix.length + i] = weight));
  return row;
}
