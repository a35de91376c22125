import { ModelError } from '@ediffi/core';
import { Tokenizer } from '@huggingface/tokenizers';

/** The stages of @huggingface/tokenizers that we run one by one (its own types do not resolve under NodeNext). */
export interface TokenizerStages {
  readonly normalizer: ((text: string) => string) | null;
  readonly pre_tokenizer: ((text: string, options: { readonly section_index: number }) => string[]) | null;
  readonly model: (((pieces: string[]) => string[]) & { readonly tokens_to_ids: ReadonlyMap<string, number>; readonly unk_token_id?: number; readonly unk_token?: string }) | null;
  readonly post_processor: ((tokens: string[], pair: null, addSpecial: boolean) => { readonly tokens: readonly string[] }) | null;
}

/** Reads a `tokenizer.json`. Throws ModelError when it is none. */
export function tokenizerStages(json: object): TokenizerStages {
  try {
    return new Tokenizer(json, {}) as TokenizerStages;
  } catch (cause) {
    throw new ModelError(`tokenizer: not a readable tokenizer.json — ${cause instanceof Error ? cause.message : String(cause)}`, 'tokenizer.json', { cause });
  }
}
