/*
 * A Hugging Face `tokenizer.json` with what paint-with-words needs and @huggingface/tokenizers does not give: which characters of
 * the prompt each token stands for. The library's own stages run one after the other (normalizer, pre-tokenizer, model,
 * post-processor), and this file keeps the offsets between them.
 *
 * Deviates: special tokens typed into a prompt ("</s>") are plain text here, because a prompt must not be able to end itself.
 */
import { CapabilityError, integer, ModelError, type TokenSpan } from '@ediffi/core';
import { alignment } from './alignment.js';
import { tokenizerStages, type TokenizerStages } from './library.js';

/** One prompt as ids `[length]`, padded, with the characters that each column stands for. */
export interface TokenizedPrompt {
  readonly ids: readonly number[];
  readonly spans: readonly TokenSpan[];
  /** Parts of the prompt that are `<unk>` to the model, as they were typed, each once. */
  readonly unknown: readonly string[];
  /** The end of the prompt that did not fit, as it was typed; absent when all of it did. */
  readonly truncated?: string;
}

/** Options of PromptTokenizer. */
export interface TokenizerOptions {
  /** T: ids per prompt, special tokens included. */
  readonly length: number;
  readonly padId?: number;
}

interface Token {
  readonly id: number;
  readonly start: number;
  readonly end: number;
  readonly unknown: boolean;
}

/** Text → ids and character spans (half-open, UTF-16 units). Throws ModelError for a `tokenizer.json` that is none. */
export class PromptTokenizer {
  readonly length: number;
  readonly #tokenizer: TokenizerStages;
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];
  readonly #padId: number;

  constructor(json: object, options: TokenizerOptions) {
    this.length = integer('tokenizer length', options.length, 1);
    this.#padId = integer('tokenizer padId', options.padId ?? 0, 0);
    this.#tokenizer = tokenizerStages(json);
    const probe = '\u0000';
    const around = this.#tokenizer.post_processor?.([probe], null, true).tokens ?? [probe];
    const at = around.indexOf(probe);
    this.#prefix = around.slice(0, at).map((token) => this.#id(token));
    this.#suffix = around.slice(at + 1).map((token) => this.#id(token));
    integer('tokenizer length', options.length, this.#prefix.length + this.#suffix.length + 1);
  }

  #id(token: string): number {
    const model = this.#tokenizer.model;
    const id = model?.tokens_to_ids.get(token) ?? model?.unk_token_id;
    if (id === undefined) throw new ModelError(`tokenizer: it has no id for ${JSON.stringify(token)} and no unknown token`, 'tokenizer.json');
    return id;
  }

  /** Ids `[length]` of one prompt. Reports what is unknown and what did not fit; never drops text silently. */
  encode(prompt: string): TokenizedPrompt {
    const tokens = this.#tokens(prompt);
    const room = this.length - this.#prefix.length - this.#suffix.length;
    const kept = tokens.slice(0, room);
    const cut = tokens[room];
    const ids = [...this.#prefix, ...kept.map((token) => token.id), ...this.#suffix];
    return {
      ids: [...ids, ...Array<number>(this.length - ids.length).fill(this.#padId)],
      spans: kept.map(({ start, end }, i) => ({ start, end, column: this.#prefix.length + i })),
      unknown: [...new Set(tokens.filter((token) => token.unknown).map((token) => prompt.slice(token.start, token.end)))],
      ...(cut && { truncated: prompt.slice(cut.start).trimEnd() }),
    };
  }

  #tokens(prompt: string): Token[] {
    const { normalizer, pre_tokenizer: split, model } = this.#tokenizer;
    if (!model) throw new ModelError('tokenizer: it has no model', 'tokenizer.json');
    const { text, start, end } = alignment(prompt, normalizer ? (part) => normalizer(part) : undefined);
    const pieces = split ? split(text, { section_index: 0 }) : [text];
    const tokens: Token[] = [];
    let cursor = 0;
    for (const piece of pieces) {
      while (/\s/.test(text[cursor] ?? '') && !text.startsWith(piece, cursor)) cursor++;
      if (!text.startsWith(piece, cursor)) throw new CapabilityError('spans', `tokenizer: its pre-tokenizer rewrites text (${JSON.stringify(piece)}), so phrases cannot be located — use a WordPiece or word-level tokenizer`);
      tokens.push(...this.#pieceTokens(model([piece]), piece, cursor, start, end));
      cursor += piece.length;
    }
    return tokens;
  }

  #pieceTokens(words: readonly string[], piece: string, offset: number, start: (i: number) => number, end: (i: number) => number): Token[] {
    const unk = this.#tokenizer.model?.unk_token;
    const tokens: Token[] = [];
    let at = 0;
    for (const word of words) {
      const unknown = word === unk;
      const size = unknown ? piece.length : word.replace(/^##/, '').length;
      tokens.push({ id: this.#id(word), start: start(offset + at), end: end(offset + at + size), unknown });
      at += size;
    }
    if (at !== piece.length && words.length > 0) throw new CapabilityError('spans', `tokenizer: the tokens of ${JSON.stringify(piece)} do not spell it, so phrases cannot be located — use a WordPiece or word-level tokenizer`);
    return tokens;
  }
}
