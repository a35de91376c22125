/*
 * Texts of a hub model: tokenizer + encoder graph → PromptEncoder, and how several encoders' answers become one input of the network:
 * side by side along the features, padded with zeros to the network's width, one segment after another along the tokens.
 */
import { cast, float32, floats, int64, ModelError, repeatRows, ShapeError, shapeText, type Conditioning, type Network, type PromptEmbedding, type PromptEncoder, type Session, type Tensor } from '@ediffi/core';
import { clipTokenizerJson, PromptTokenizer, type TokenizedPrompt } from '@ediffi/encoders';
import type { ModelFiles } from '../sources/index.js';
import { readJson, type Config } from './model-index.js';

/** One text encoder of a family. */
export interface TextPart {
  /** Its name in prompts and conditioning. */
  readonly name: string;
  readonly encoder: string;
  readonly tokenizer: string;
  readonly kind: 'clip' | 't5';
  /** Which layer's tokens the network reads. */
  readonly tokens: 'last' | 'penultimate' | 'none';
  /** Output of the graph that is the pooled vector. */
  readonly pooled?: string;
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

/** The tokenizer of a hub folder. Rejects with ModelError when it has no vocabulary. */
export async function hubTokenizer(files: ModelFiles, folder: string, kind: TextPart['kind'], length?: number): Promise<PromptTokenizer> {
  const at = (file: string): string => `${folder}/${file}`;
  const config: Config = (await files.has(at('tokenizer_config.json'))) ? await readJson(files, at('tokenizer_config.json')) : {};
  const longest = Number(config['model_max_length']);
  const size = length ?? (Number.isInteger(longest) && longest < 100_000 ? longest : 77);
  const json = (await files.has(at('tokenizer.json')))
    ? await readJson(files, at('tokenizer.json'))
    : kind === 'clip'
      ? clipTokenizerJson({ vocab: (await readJson(files, at('vocab.json'))) as Record<string, number>, merges: new TextDecoder().decode(await files.read(at('merges.txt'))) })
      : await readJson(files, at('tokenizer.json'));
  return new PromptTokenizer(json, { length: size, padId: padOf(json, config, kind, at('tokenizer_config.json')) });
}

/** The id of the padding token, which CLIP's repositories name in their configuration. Throws ModelError when the vocabulary lacks it. */
function padOf(json: object, config: Config, kind: TextPart['kind'], file: string): number {
  const named = config['pad_token'];
  const token = typeof named === 'object' && named !== null ? (named as { content?: unknown }).content : named;
  const wanted = typeof token === 'string' ? token : kind === 'clip' ? '<|endoftext|>' : '<pad>';
  const { added_tokens: added = [], model = {} } = json as { added_tokens?: { content: string; id: number }[]; model?: { vocab?: Record<string, number> | [string, number][] } };
  const vocab = model.vocab ?? {};
  const id = added.find(({ content }) => content === wanted)?.id ?? (Array.isArray(vocab) ? vocab.findIndex(([piece]) => piece === wanted) : vocab[wanted]);
  if (id === undefined || id < 0) throw new ModelError(`${file}: its padding token ${JSON.stringify(wanted)} is not in the vocabulary`, file);
  return id;
}

/** A hub's text encoder. `width` is that of its tokens. Takes over the session. Throws ModelError when the graph lacks what the family reads. */
export function hubEncoder(part: TextPart, session: Session, tokenizer: PromptTokenizer, config: Config): PromptEncoder {
  const { name, tokens: layer, pooled: pooledName } = part;
  const width = Number(config['hidden_size'] ?? config['d_model']);
  const layers = Number(config['num_hidden_layers'] ?? config['num_layers']);
  const tokensName = layer === 'penultimate' ? `hidden_states.${layers - 1}` : 'last_hidden_state';
  const input = session.inputs[0];
  if (!input) throw new ModelError(`${session.name}: the graph takes nothing`, session.name);
  for (const wanted of [tokensName, ...(pooledName ? [pooledName] : [])]) {
    if (!session.outputs.some((output) => output.name === wanted)) throw new ModelError(`${session.name}: the graph has no output ${wanted} — it has ${session.outputs.map((o) => o.name).join(', ')}`, session.name);
  }
  const masked = session.inputs.find((info) => info.name === 'attention_mask');
  const { length } = tokenizer;
  return {
    name,
    width,
    length,
    async encode(prompts, call = {}) {
      if (prompts.length === 0) throw new ShapeError(`${name} encoder`, 'at least one prompt', 'none');
      const read = prompts.map((prompt) => (part.fold ? folded(prompt, tokenizer) : tokenizer.encode(prompt)));
      const feeds: Record<string, Tensor> = { [input.name]: await cast(int64(read.flatMap(({ ids }) => [...ids]), [prompts.length, length]), input.dtype) };
      const present = read.flatMap(({ used }) => Array.from({ length }, (_, i) => Number(part.mask !== true || i < used)));
      if (masked) feeds[masked.name] = await cast(int64(present, [prompts.length, length]), masked.dtype);
      const outputs = await session.run(feeds, call.signal ? { signal: call.signal } : {});
      const tokens = await cast(outputs[tokensName]!, 'float32');
      const pooled = pooledName === undefined ? undefined : await cast(outputs[pooledName]!, 'float32');
      for (const [output, tensor] of Object.entries(outputs)) if (tensor !== tokens && tensor !== pooled && output !== tokensName) tensor.dispose();
      if (tokens.shape.at(-1) !== width) throw new ShapeError(`${name} encoder output '${tokensName}'`, `width ${width}, as config.json says`, shapeText(tokens.shape));
      const truncated = read.flatMap((prompt) => (prompt.truncated === undefined ? [] : [prompt.truncated]));
      return { tokens, ...(pooled && { pooled }), length, spans: read.map(({ spans }) => spans), used: read.map(({ used }) => used), ...(truncated.length > 0 && { truncated }) };
    },
    dispose: () => session.dispose(),
  };
}

/** A prompt without outer white space, in lower case; spans are those of the prompt as it was typed. */
function folded(prompt: string, tokenizer: PromptTokenizer): TokenizedPrompt {
  const lead = prompt.length - prompt.trimStart().length;
  const read = tokenizer.encode(Array.from(prompt.trim(), (char) => (char.toLowerCase().length === char.length ? char.toLowerCase() : char)).join(''));
  return { ...read, spans: read.spans.map(({ start, end, column }) => ({ start: start + lead, end: end + lead, column })) };
}

/** Widths by encoder, and the width of the network's text input. */
export interface TextWidths {
  readonly tokens: Readonly<Record<string, number>>;
  readonly pooled: Readonly<Record<string, number>>;
  readonly lengths: Readonly<Record<string, number>>;
  readonly width: number;
}

/** The encoders' embeddings as the one that the network reads, under the name 'text'. */
export function joinTexts(plan: TextPlan, widths: TextWidths): (condition: Conditioning) => Promise<Conditioning> {
  return async (condition) => {
    const { embeddings } = condition;
    const rows = Math.max(1, ...Object.values(embeddings).map(({ tokens }) => tokens.shape[0] ?? 1));
    if (Object.keys(embeddings).length === 0) return condition;
    const parts = await Promise.all(plan.segments.map((names) => segment(names, embeddings, widths, rows)));
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const out = new Float32Array(rows * length * widths.width);
    const spans: PromptEmbedding['spans'][number][] = Array.from({ length: rows }, () => []);
    let offset = 0;
    for (const part of parts) {
      for (let row = 0; row < rows; row++) {
        out.set(part.data.subarray(row * part.length * widths.width, (row + 1) * part.length * widths.width), (row * length + offset) * widths.width);
        spans[row] = [...spans[row]!, ...(part.spans[row] ?? []).map((span) => ({ ...span, column: span.column + offset }))];
      }
      offset += part.length;
    }
    const pooled = plan.pooled && (await sideBySide(plan.pooled.map((name) => [embeddings[name]?.pooled, widths.pooled[name] ?? 0]), rows, 1));
    const used = Object.values(embeddings)[0]?.used;
    const mask = plan.maskInput && used ? { [plan.maskInput]: float32(used.flatMap((n) => Array.from({ length }, (_, i) => Number(i < n))), [used.length, length]) } : {};
    const text: PromptEmbedding = { tokens: float32(out, [rows, length, widths.width]), ...(pooled && { pooled: float32(pooled, [rows, pooled.length / rows]) }), length, spans };
    return { ...condition, embeddings: { text }, inputs: { ...condition.inputs, ...mask } };
  };
}

interface Segment {
  readonly length: number;
  /** `[rows, length, width]`. */
  readonly data: Float32Array;
  readonly spans: PromptEmbedding['spans'];
}

async function segment(names: readonly string[], embeddings: Conditioning['embeddings'], widths: TextWidths, rows: number): Promise<Segment> {
  const length = Math.max(...names.map((name) => embeddings[name]?.length ?? widths.lengths[name] ?? 0));
  const beside = await sideBySide(names.map((name) => [embeddings[name]?.tokens, widths.tokens[name] ?? 0]), rows, length);
  const own = beside.length / rows / length;
  const data = new Float32Array(rows * length * widths.width);
  for (let i = 0; i < rows * length; i++) data.set(beside.subarray(i * own, (i + 1) * own), i * widths.width);
  const spans = Array.from({ length: rows }, (_, row) => names.flatMap((name) => spansOf(embeddings[name], row, rows)));
  return { length, data, spans };
}

const spansOf = (embedding: PromptEmbedding | undefined, row: number, rows: number): PromptEmbedding['spans'][number] => embedding?.spans[Math.floor((row * embedding.spans.length) / rows)] ?? [];

/** `[rows, length, Σ widths]` from `[n, length, width]` each; what is absent is zeros. */
async function sideBySide(parts: readonly (readonly [Tensor | undefined, number])[], rows: number, length: number): Promise<Float32Array> {
  const total = parts.reduce((sum, [tensor, width]) => sum + (tensor?.shape.at(-1) ?? width), 0);
  const out = new Float32Array(rows * length * total);
  let offset = 0;
  for (const [tensor, width] of parts) {
    const own = tensor?.shape.at(-1) ?? width;
    const data = tensor && (await floats(await repeatRows(tensor, rows)));
    for (let i = 0; data && i < rows * length; i++) out.set(data.subarray(i * own, (i + 1) * own), i * total + offset);
    offset += own;
  }
  return out;
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

