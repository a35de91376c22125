import { ModelError } from '@ediffi/core';
import { clipTokenizerJson } from '../text/clip-json.js';
import { t5TokenizerJson } from '../text/sentencepiece.js';

/** The files of a repository's tokenizer folder, parsed; absent ones are undefined. */
export interface HubTokenizerFiles {
  readonly tokenizer?: object;
  readonly vocab?: Readonly<Record<string, number>>;
  readonly merges?: string;
  /** spiece.model */
  readonly pieces?: Uint8Array;
  /** tokenizer_config.json */
  readonly config?: object;
  /** special_tokens_map.json */
  readonly specialTokens?: object;
}

/** A tokenizer.json with the id that prompts are padded with and the length the model was made for. */
export interface HubTokenizer {
  readonly json: object;
  readonly padId: number;
  readonly length?: number;
}

/** `"<pad>"` or `{ content: "<pad>" }`. */
const tokenText = (value: unknown): string | undefined => (typeof value === 'string' ? value : (value as { content?: string } | undefined)?.content);

function tokenizerJson({ vocab, merges, pieces }: HubTokenizerFiles, extraIds?: number): object | undefined {
  if (vocab && merges !== undefined) return clipTokenizerJson({ vocab, merges });
  return pieces && t5TokenizerJson(pieces, extraIds);
}

/**
 * Reads a tokenizer folder: tokenizer.json, or CLIP's vocab.json and merges.txt, or T5's spiece.model. Throws ModelError when none is there or the padding token is
 * unknown, CapabilityError for a spiece.model that is not Unigram.
 */
export function hubTokenizer(files: HubTokenizerFiles, where = 'tokenizer'): HubTokenizer {
  const settings = (files.config ?? {}) as { pad_token?: unknown; model_max_length?: unknown; extra_ids?: number };
  const json = files.tokenizer ?? tokenizerJson(files, settings.extra_ids);
  if (!json) throw new ModelError(`${where}: neither tokenizer.json nor vocab.json with merges.txt nor spiece.model is there — a tokenizer needs its vocabulary`, where);
  const pad = tokenText(settings.pad_token) ?? tokenText((files.specialTokens as { pad_token?: unknown } | undefined)?.pad_token);
  const { model, added_tokens: added = [] } = json as { model?: { vocab?: Record<string, number> | [string, number][] }; added_tokens?: { id: number; content: string }[] };
  const vocab = model?.vocab;
  const idOf = (token: string): number | undefined => {
    const special = added.find(({ content }) => content === token)?.id;
    if (special !== undefined) return special;
    const at = Array.isArray(vocab) ? vocab.findIndex(([piece]) => piece === token) : vocab?.[token];
    return at === -1 ? undefined : at;
  };
  const padId = pad === undefined ? 0 : idOf(pad);
  if (padId === undefined) throw new ModelError(`${where}: its padding token ${JSON.stringify(pad)} is not in the vocabulary`, where);
  const length = settings.model_max_length;
  return { json, padId, ...(typeof length === 'number' && length > 0 && length < 100_000 && { length }) };
}
