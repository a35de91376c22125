/* The model stage of a `tokenizer.json`, run by @huggingface/tokenizers: one piece of text → tokens, each with its share of the piece. */
import { ModelError } from '@ediffi/core';
import { Tokenizer } from '@huggingface/tokenizers';

/** The parts of the library's Tokenizer that are used here (its own types do not resolve under NodeNext). */
interface Library {
  readonly model: {
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    readonly unk_token?: string;
    readonly unk_token_id?: number;
    readonly end_of_word_suffix?: string;
    readonly config: { readonly type?: string; readonly continuing_subword_prefix?: string };
    encode(pieces: readonly string[]): readonly string[];
  };
  readonly post_processor: ((tokens: readonly string[], pair: null, addSpecial: boolean) => { readonly tokens: readonly string[] }) | null;
}

/** A token of a piece and how many of the piece's code points it stands for. */
export interface ModelToken {
  readonly id: number;
  readonly size: number;
  readonly unknown: boolean;
}

/** What tokenizes pieces, and the special tokens around a prompt. */
export interface TokenModel {
  tokens(piece: readonly string[]): ModelToken[];
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** Reads the model of a tokenizer.json. Throws ModelError when it is none, or has no vocabulary. */
export function tokenModel(json: object): TokenModel {
  const { model, post_processor: around } = read(json);
  const unknownId = model.unk_token_id;
  const idOf = (token: string): number => {
    const id = model.tokens_to_ids.get(token) ?? unknownId;
    if (id === undefined) throw new ModelError(`tokenizer: it has no id for ${JSON.stringify(token)} and no unknown token`, 'tokenizer.json');
    return id;
  };
  const probe = '\u0000';
  const template = around?.([probe], null, true).tokens ?? [probe];
  const at = template.indexOf(probe);
  const special = (token: string): number => {
    const id = model.tokens_to_ids.get(token);
    if (id === undefined) throw new ModelError(`tokenizer: its vocabulary lacks the special token ${JSON.stringify(token)}`, 'tokenizer.json');
    return id;
  };
  const prefixLetters = [...(model.config.continuing_subword_prefix ?? '')].length;
  const sizeOf = (token: string, index: number): number => {
    const suffix = model.end_of_word_suffix;
    const letters = [...(suffix && token.endsWith(suffix) ? token.slice(0, -suffix.length) : token)].length;
    return model.config.type === 'WordPiece' && index > 0 ? letters - prefixLetters : letters;
  };
  return {
    prefix: template.slice(0, at).map(special),
    suffix: template.slice(at + 1).map(special),
    tokens(piece) {
      const out: ModelToken[] = [];
      let left = piece.length;
      model.encode([piece.join('')]).forEach((token, i) => {
        const known = model.tokens_to_ids.has(token) && token !== model.unk_token;
        // A token that stands for itself as <unk> (Unigram: the character; WordPiece: the whole piece).
        const size = token === model.unk_token ? left : Math.min(left, sizeOf(token, i));
        left -= size;
        const last = out.at(-1);
        if (!known && last?.unknown) out[out.length - 1] = { ...last, size: last.size + size }; // runs of unknown characters are one <unk>
        else out.push({ id: known ? idOf(token) : idOf(model.unk_token ?? token), size, unknown: !known });
      });
      return out;
    },
  };
}

function read(json: object): Library {
  const fail = (cause: unknown): never => {
    throw new ModelError(`tokenizer: not a readable tokenizer.json — ${cause instanceof Error ? cause.message : String(cause)}`, 'tokenizer.json', { cause });
  };
  let library: Library | undefined;
  try {
    // The other stages are run by this package, which keeps offsets: the library needs to build the model only.
    library = new Tokenizer({ ...json, normalizer: null, pre_tokenizer: null, decoder: null } as object, {}) as unknown as Library;
  } catch (cause) {
    fail(cause);
  }
  const { vocab } = (json as { model?: { vocab?: object } }).model ?? {};
  if (!library?.model || !vocab || Object.keys(vocab).length === 0) fail('it has no vocabulary'); // added tokens alone are none
  return library!;
}
