/*
 * Texts of a hub model: tokenizer + encoder graph → PromptEncoder, and how several encoders' answers become one input of the network:
 * side by side along the features, padded with zeros to the network's width, one segment after another along the tokens.
 */
import { cast, zeros, type Conditioning, type Network, type PromptEmbedding, type PromptEncoder, type Session } from '@ediffi/core';
import { absentEmbedding, hubTextEncoder, hubTokenizer, joinChannels, joinTokens, padChannels, type HubTokenizer, type ReadingOptions } from '@ediffi/encoders';
import type { ModelFiles } from '../sources/index.js';
import { readJson, type Config } from './model-index.js';

/** One text encoder of a family. */
export interface TextPart {
  /** Its name in prompts and conditioning. */
  readonly name: string;
  readonly encoder: string;
  readonly tokenizer: string;
  /** Which layer's tokens the network reads. */
  readonly tokens: 'last' | 'penultimate';
  /** Whether the network reads its pooled vector. */
  readonly pooled?: boolean;
  /** Tokens per prompt; default: the tokenizer's. */
  readonly length?: number;
  /** The family works without it: zeros. */
  readonly optional?: boolean;
  /** The prompt is trimmed and put in lower case first. */
  readonly fold?: boolean;
  /** The encoder is told which tokens are padding. */
  readonly mask?: boolean;
}

/** How embeddings become inputs. */
export interface TextPlan {
  /** Segments along the tokens; the encoders of one lie side by side. */
  readonly segments: readonly (readonly string[])[];
  /** Key of the network's configuration that says its width, where segments are padded to it. */
  readonly widthKey?: string;
  /** Encoders whose pooled vectors are joined, and the input they go to. */
  readonly pooled?: readonly string[];
  readonly pooledInput?: string;
  /** Input that tells which tokens are padding. */
  readonly maskInput?: string;
}

/** What a hub folder's tokenizer is made of. Rejects with ModelError when it has no vocabulary. */
export async function tokenizerOf(files: ModelFiles, folder: string): Promise<HubTokenizer> {
  const json = async (file: string): Promise<Config | undefined> => ((await files.has(`${folder}/${file}`)) ? readJson(files, `${folder}/${file}`) : undefined);
  const [tokenizer, vocab, config, specialTokens] = await Promise.all([json('tokenizer.json'), json('vocab.json'), json('tokenizer_config.json'), json('special_tokens_map.json')]);
  const merges = (await files.has(`${folder}/merges.txt`)) ? new TextDecoder().decode(await files.read(`${folder}/merges.txt`)) : undefined;
  const pieces = !tokenizer && !vocab && (await files.has(`${folder}/spiece.model`)) ? await files.read(`${folder}/spiece.model`) : undefined;
  return hubTokenizer({ ...(tokenizer && { tokenizer }), ...(pieces && { pieces }), ...(vocab && { vocab: vocab as Record<string, number> }), ...(merges !== undefined && { merges }), ...(config && { config }), ...(specialTokens && { specialTokens }) }, `${folder} of ${files.location}`);
}

/** A family's text encoder over a loaded graph, whose session it takes over. `skip`: layers to leave out where it reads a layer before the last. Throws ModelError or CapabilityError when the graph lacks what the family reads. */
export function encoderOf(part: TextPart, session: Session, { json, padId }: HubTokenizer, options: ReadingOptions & { readonly length: number; readonly pooledWidth: number; readonly skip: number }): PromptEncoder {
  const { skip, ...rest } = options;
  const encoder = hubTextEncoder(part.name, session, json, { ...rest, padId, layer: part.tokens === 'penultimate' ? -2 - skip : -1, pooled: part.pooled === true, masked: part.mask === true });
  return part.fold ? { ...encoder, encode: async (prompts, call) => shifted(await encoder.encode(prompts.map((prompt) => folded(prompt, options.weights)), call), prompts) } : encoder;
}

/** A prompt without outer white space, in lower case of the same length; with weights, BREAK stays what it is. */
function folded(prompt: string, weights = false): string {
  const lower = (text: string): string => Array.from(text, (char) => (char.toLowerCase().length === char.length ? char.toLowerCase() : char)).join('');
  return (weights ? prompt.trim().split(/\b(BREAK)\b/) : [prompt.trim()]).map((part) => (weights && part === 'BREAK' ? part : lower(part))).join('');
}

/** Spans of the prompt as it was typed. */
function shifted(embedding: PromptEmbedding, prompts: readonly string[]): PromptEmbedding {
  const lead = prompts.map((prompt) => prompt.length - prompt.trimStart().length);
  return { ...embedding, spans: embedding.spans.map((row, r) => row.map(({ start, end, column }) => ({ start: start + lead[r]!, end: end + lead[r]!, column }))) };
}

/** Widths by encoder, and the width of the network's text input. */
export interface TextWidths {
  readonly tokens: Readonly<Record<string, number>>;
  readonly pooled: Readonly<Record<string, number>>;
  readonly lengths: Readonly<Record<string, number>>;
  readonly width: number;
}

/** The encoders' embeddings as the one that the network reads, under the name 'text'; absent ones are zeros, also where all are. */
export function joinTexts(plan: TextPlan, widths: TextWidths): (condition: Conditioning) => Promise<Conditioning> {
  return async (condition) => {
    const { embeddings } = condition;
    const rows = Math.max(1, ...Object.values(embeddings).map(({ tokens }) => tokens.shape[0] ?? 1));
    const named = (encoder: string, _: number, beside: readonly string[]): { encoder: string; embedding: PromptEmbedding } => {
      const length = Math.max(widths.lengths[encoder] ?? 77, ...beside.map((name) => embeddings[name]?.length ?? 0));
      const absent = { ...absentEmbedding(rows, length, widths.tokens[encoder] ?? widths.width), pooled: zeros([rows, widths.pooled[encoder] ?? 1]) };
      return { encoder, embedding: embeddings[encoder] ?? absent };
    };
    const segments = await Promise.all(plan.segments.map(async (names) => ({ encoder: names.join('+'), embedding: await padChannels(await joinChannels(names.map(named)), widths.width) })));
    const { pooled: _, ...joined } = await joinTokens(segments);
    const pooled = plan.pooled && (await joinChannels(plan.pooled.map(named), 'all')).pooled;
    const mask = plan.maskInput === undefined ? {} : { [plan.maskInput]: await cast(joined.mask!, 'float32') };
    return { ...condition, embeddings: { text: { ...joined, ...(pooled && { pooled }) } }, inputs: { ...condition.inputs, ...mask } };
  };
}

/** A network whose conditioning is changed first, each conditioning once. */
export function adapted(network: Network, adapt: (condition: Conditioning) => Promise<Conditioning>): Network {
  const known = new WeakMap<Conditioning, Promise<Conditioning>>();
  const changed: Network = async (x, noise, sigma, condition, call) => {
    const made = known.get(condition) ?? adapt(condition);
    known.set(condition, made);
    return network(x, noise, sigma, await made, call);
  };
  return Object.assign(changed, network.dispose && { dispose: network.dispose });
}

