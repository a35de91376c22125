/* The model stage of a `tokenizer.json`, run by @huggingface/tokenizers: one piece of text → tokens, each with its share of the piece. */
import { ModelError } from '@ediffi/core';
import { Tokenizer } from '@huggingface/tokenizers';
import { utf8Of } from './utf8.js';

/** The parts of the library's Tokenizer that are used here (its own types do not resolve under NodeNext). */
interface Library {
  readonly model: {
    readonly tokens_to_ids: ReadonlyMap<string, number>;
    readonly unk_token?: string;
    readonly unk_token_id?: number;
    readonly end_of_word_suffix?: string;
    readonly config: { readonly type?: string; readonly continuing_subword_prefix?: string; readonly byte_fallback?: boolean; readonly fuse_unk?: boolean };
    encode(pieces: readonly string[]): readonly string[];
  };
  readonly post_processor: ((tokens: readonly string[], pair: null, addSpecial: boolean) => { readonly tokens: readonly string[] }) | null;
}

/** A token of a piece and the half-open range of the piece's code points it stands for; the bytes of a character share its range. */
export interface ModelToken {
  readonly id: number;
  readonly from: number;
  readonly to: number;
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
  const { type, byte_fallback: byBytes } = model.config;
  const fuses = type !== 'BPE' || model.config.fuse_unk === true;
  const suffix = model.end_of_word_suffix ?? '';
  const sizeOf = (token: string, index: number): number => {
    const letters = [...(suffix && token.endsWith(suffix) ? token.slice(0, -suffix.length) : token)].length;
    return type === 'WordPiece' && index > 0 ? letters - prefixLetters : letters;
  };
  /** The ids of a text's bytes, where the model falls back on bytes and has them all. */
  const byteIds = (text: string): number[] | undefined => {
    if (!byBytes || model.tokens_to_ids.has(text)) return undefined;
    const ids = utf8Of(text).map((byte) => model.tokens_to_ids.get(byteToken(byte)));
    return ids.every((id) => id !== undefined) ? ids : undefined;
  };
  return {
    prefix: template.slice(0, at).map(special),
    suffix: template.slice(at + 1).map(special),
    tokens(piece) {
      const out: ModelToken[] = [];
      const found = model.encode([piece.join('')]);
      for (let i = 0, at = 0; i < found.length; i++) {
        const token = found[i]!;
        const from = at;
        // BPE falls back on the bytes of a character: the library names them, and their names are no letters of the piece.
        const bytes = type === 'BPE' && from < piece.length ? byteIds(piece[from]! + (from === piece.length - 1 ? suffix : '')) : undefined;
        if (bytes && model.tokens_to_ids.get(token) === bytes[0]) {
          out.push(...bytes.map((id) => ({ id, from, to: from + 1, unknown: false })));
          at = from + 1;
          i += bytes.length - 1;
          continue;
        }
        const known = model.tokens_to_ids.has(token) && token !== model.unk_token;
        // What <unk> stands for: WordPiece: the whole piece; BPE: a character; Unigram gives the characters themselves.
        const size = token !== model.unk_token || type === 'Unigram' ? sizeOf(token, i) : type === 'BPE' ? 1 : piece.length;
        at = Math.min(piece.length, at + size);
        const last = out.at(-1);
        if (!known && last?.unknown && fuses) out[out.length - 1] = { ...last, to: at }; // runs of unknown characters are one <unk>
        else out.push({ id: known ? idOf(token) : idOf(model.unk_token ?? token), from, to: at, unknown: !known });
      }
      if (type !== 'Unigram' || !byBytes) return out;
      // Unigram falls back on the bytes of a run of unknown characters, which the library does not: all of them, or one <unk>.
      return out.flatMap((token) => (token.unknown && byteIds(piece.slice(token.from, token.to).join(''))?.map((id) => ({ ...token, id, unknown: false }))) || [token]);
    },
  };
}

/** What a vocabulary calls a byte: <0x0A>. */
const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

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
