/*
 * A Hugging Face `tokenizer.json` with what paint-with-words needs and @huggingface/tokenizers does not give: which characters of
 * the prompt each token stands for. Normalizers and pre-tokenizers are run here, where offsets are kept; the model is the library's.
 *
 * Deviates: special tokens typed into a prompt ("</s>") are plain text by default, because a prompt must not be able to end itself.
 */
import { integer, ModelError, OptionError, type TokenSpan } from '@ediffi/core';
import { sectionsOf, type AddedToken } from './added-tokens.js';
import { alignedText, type AlignedText } from './aligned-text.js';
import { tokenModel, type TokenModel } from './model.js';
import { normalizerOf, type Normalizer, type NormalizerConfig } from './normalizers.js';
import { splitOf, type Split, type SplitConfig } from './splits.js';

/** One prompt as ids `[length]`, padded, with the characters that each column stands for. */
export interface TokenizedPrompt {
  readonly ids: readonly number[];
  /** How many ids are no padding. */
  readonly used: number;
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
  /** 'text' (default): "</s>" in a prompt is text. 'parse': it is the token, as `transformers` has it. */
  readonly specialTokens?: 'text' | 'parse';
}

/** One token of a prompt with the half-open range of characters (UTF-16 units) it stands for. */
export interface Token {
  readonly id: number;
  readonly start: number;
  readonly end: number;
  readonly unknown: boolean;
}

interface TokenizerJson {
  readonly normalizer?: NormalizerConfig | null;
  readonly pre_tokenizer?: SplitConfig | null;
  readonly added_tokens?: readonly AddedToken[];
}

/** Text → ids and character spans. Throws ModelError for a `tokenizer.json` that is none, CapabilityError for parts of one that are not supported. */
export class PromptTokenizer {
  readonly length: number;
  readonly padId: number;
  /** Special tokens before and after every prompt. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  readonly #model: TokenModel;
  readonly #normalize: Normalizer;
  readonly #split: Split;
  readonly #added: readonly AddedToken[];
  readonly #parse: boolean;

  constructor(json: object, options: TokenizerOptions) {
    const { normalizer, pre_tokenizer: split, added_tokens: added = [] } = json as TokenizerJson;
    const { specialTokens = 'text' } = options;
    if (specialTokens !== 'text' && specialTokens !== 'parse') throw new OptionError('specialTokens', specialTokens, "'text' or 'parse'");
    this.length = integer('tokenizer length', options.length, 1);
    this.padId = integer('tokenizer padId', options.padId ?? 0, 0);
    this.#model = tokenModel(json);
    this.#normalize = normalizerOf(normalizer);
    this.#split = splitOf(split);
    this.#added = added;
    this.#parse = specialTokens === 'parse';
    this.prefix = this.#model.prefix;
    this.suffix = this.#model.suffix;
    integer('tokenizer length', options.length, this.prefix.length + this.suffix.length + 1);
  }

  /** How many tokens fit between the special ones. */
  get room(): number {
    return this.length - this.prefix.length - this.suffix.length;
  }

  /** Ids `[length]` of one prompt. Reports what is unknown and what did not fit; never drops text silently. */
  encode(prompt: string): TokenizedPrompt {
    const tokens = this.tokens(prompt);
    const cut = tokens[this.room];
    return {
      ...this.window(tokens.slice(0, this.room)),
      unknown: [...new Set(tokens.filter((token) => token.unknown).map((token) => prompt.slice(token.start, token.end)))],
      ...(cut && { truncated: prompt.slice(cut.start).trimEnd() }),
    };
  }

  /** Tokens with the special ones around them and padding after them. Throws OptionError for more than fit. */
  window(tokens: readonly Token[]): Pick<TokenizedPrompt, 'ids' | 'used' | 'spans'> {
    integer('tokens of a window', tokens.length, 0, this.room);
    const ids = [...this.prefix, ...tokens.map((token) => token.id), ...this.suffix];
    return {
      ids: [...ids, ...Array<number>(this.length - ids.length).fill(this.padId)],
      used: ids.length,
      spans: tokens.map(({ start, end }, i) => ({ start, end, column: this.prefix.length + i })),
    };
  }

  /** Every token of a prompt, without special tokens around it and without a limit. */
  tokens(prompt: string): Token[] {
    if (typeof prompt !== 'string') throw new OptionError('prompt', prompt, 'a string');
    const sections = sectionsOf(this.#added, this.#normalize, alignedText(prompt), this.#parse);
    return sections.flatMap(({ text, id }) => {
      if (id !== undefined) return [{ id, ...rangeOf(text, 0, text.chars.length), unknown: false }];
      return this.#split(text, text.starts[0] === 0).flatMap((piece) => this.#pieceTokens(piece));
    });
  }

  #pieceTokens(piece: AlignedText): Token[] {
    if (piece.chars.length === 0) return [];
    const tokens = this.#model.tokens(piece.chars);
    if (tokens.at(-1)?.to !== piece.chars.length || tokens.some(({ from, to }) => from === to)) throw new ModelError(`tokenizer: the tokens of ${JSON.stringify(piece.chars.join(''))} do not spell it — is the vocabulary the one of this model?`, 'tokenizer.json');
    return tokens.map(({ id, from, to, unknown }) => ({ id, unknown, ...rangeOf(piece, from, to) }));
  }
}

/** The part of the prompt that code points [from, to) stand for. */
function rangeOf(text: AlignedText, from: number, to: number): { start: number; end: number } {
  return { start: text.starts[from]!, end: text.ends[to - 1]! };
}
