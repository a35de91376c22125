import { cast, float32, floats, int64, ModelError, OptionError, ShapeError, shapeText, type Abort, type PromptEmbedding, type PromptEncoder, type Session, type Tensor } from '@ediffi/core';
import { PromptTokenizer, type TokenizedPrompt, type TokenizerOptions } from './text/tokenizer.js';

/** What the graph of a text encoder calls its values. */
export interface TextGraphNames {
  /** int64 or int32 `[B, T]`. */
  readonly ids: string;
  /** float32 or float16 `[B, T, C]`. */
  readonly tokens: string;
  /** float32 or float16 `[B, P]`. */
  readonly pooled?: string;
  /** `[B, T]`, 1 where a token is: an input of some exports. */
  readonly mask?: string;
}

/** T, C and, where the graph deviates from the usual, its names. */
export interface TextEncoderOptions extends TokenizerOptions {
  readonly width: number;
  /** P; C by default. */
  readonly pooledWidth?: number;
  /** What a prompt without words is: 'zeros', as eDiff-I's training drops it (default), or the encoding of its special tokens, as Stable Diffusion has it. */
  readonly empty?: 'zeros' | 'encode';
  /** Whether a graph with a mask is told which columns are padding (default), or that none is. */
  readonly masked?: boolean;
  readonly names?: TextGraphNames;
}

/**
 * A tokenizer and a loaded graph as a PromptEncoder. Takes over the session: disposing the encoder disposes it.
 * Throws ModelError when the graph lacks a promised value, ShapeError when its width or length is not the stated one.
 */
export function textEncoder(name: string, session: Session, tokenizerJson: object, options: TextEncoderOptions & { readonly names: TextGraphNames }): PromptEncoder {
  const { length, width, names, pooledWidth = width, empty = 'zeros', masked = true } = options;
  if (empty !== 'zeros' && empty !== 'encode') throw new OptionError('empty', empty, "'zeros' or 'encode'");
  const tokenizer = new PromptTokenizer(tokenizerJson, options);
  checkGraph(name, session, names, { [names.tokens]: width, ...(names.pooled !== undefined && { [names.pooled]: pooledWidth }) });
  const idType = session.inputs.find((info) => info.name === names.ids)!.dtype;
  const read = async (tensor: Tensor | undefined, shape: readonly number[], what: string): Promise<Tensor> => {
    if (tensor && shapeText(tensor.shape) === shapeText(shape)) return cast(tensor, 'float32');
    throw new ShapeError(`${name} encoder output '${what}'`, shapeText(shape), tensor ? shapeText(tensor.shape) : 'none', 'load the encoder that the model was trained with');
  };

  return {
    name,
    width,
    length,
    async encode(prompts: readonly string[], call: { readonly signal?: Abort } = {}): Promise<PromptEmbedding> {
      if (prompts.length === 0) throw new ShapeError(`${name} encoder`, 'at least one prompt', 'none');
      const tokenized = prompts.map((prompt) => tokenizer.encode(prompt));
      const rows = prompts.length;
      const ids = await cast(int64(tokenized.flatMap((prompt) => [...prompt.ids]), [rows, length]), idType);
      const mask = maskOf(tokenized, length);
      const maskType = session.inputs.find((info) => info.name === names.mask)?.dtype;
      const outputs = await session.run({ [names.ids]: ids, ...(names.mask !== undefined && { [names.mask]: await cast(masked ? mask : int64(Array<number>(rows * length).fill(1), [rows, length]), maskType ?? 'int64') }) }, call.signal ? { signal: call.signal } : {});
      try {
        const tokens = await read(outputs[names.tokens], [rows, length, width], names.tokens);
        const pooled = names.pooled === undefined ? undefined : await read(outputs[names.pooled], [rows, pooledWidth], names.pooled);
        // A prompt without words is no prompt: zeros, as training drops it, not the encoding of an empty string.
        const dropped = tokenized.map((prompt) => empty === 'zeros' && prompt.spans.length === 0);
        const unknown = [...new Set(tokenized.flatMap((prompt) => prompt.unknown))];
        const truncated = tokenized.flatMap((prompt) => (prompt.truncated === undefined ? [] : [prompt.truncated]));
        return {
          tokens: await withoutRows(tokens, dropped),
          ...(pooled && { pooled: await withoutRows(pooled, dropped) }),
          length,
          spans: tokenized.map((prompt) => prompt.spans),
          mask,
          ...(unknown.length > 0 && { unknown }),
          ...(truncated.length > 0 && { truncated }),
        };
      } finally {
        for (const [output, tensor] of Object.entries(outputs)) if (output !== names.tokens && output !== names.pooled) tensor.dispose();
      }
    },
    dispose: () => session.dispose(),
  };
}

/** Throws ModelError or ShapeError unless the graph has every promised value, of the promised width. */
function checkGraph(name: string, session: Session, names: TextGraphNames, widths: Readonly<Record<string, number>>): void {
  for (const wanted of [names.ids, names.mask]) {
    if (wanted === undefined || session.inputs.some((info) => info.name === wanted)) continue;
    throw new ModelError(`${session.name}: the graph has no input ${wanted} — it has ${session.inputs.map((i) => i.name).join(', ')}`, session.name);
  }
  for (const [wanted, width] of Object.entries(widths)) {
    const output = session.outputs.find((info) => info.name === wanted);
    if (!output) throw new ModelError(`${session.name}: the graph has no output ${wanted} — it has ${session.outputs.map((o) => o.name).join(', ')}`, session.name);
    const last = output.shape.at(-1);
    if (typeof last === 'number' && last !== width) throw new ShapeError(`${name} encoder output '${wanted}'`, `width ${width}`, `${last}`, 'load the encoder that the model was trained with');
  }
}

/** 1 where a column is a token, special ones included. */
const maskOf = (prompts: readonly TokenizedPrompt[], length: number): Tensor => int64(prompts.flatMap(({ used }) => Array.from({ length }, (_, i) => Number(i < used))), [prompts.length, length]);

/** The tensor with the marked rows set to zero; itself when none is marked. */
async function withoutRows(tensor: Tensor, marked: readonly boolean[]): Promise<Tensor> {
  if (!marked.some(Boolean)) return tensor;
  const data = Float32Array.from(await floats(tensor));
  const size = data.length / marked.length;
  marked.forEach((drop, row) => drop && data.fill(0, row * size, (row + 1) * size));
  return tensor.device.fromHost(float32(data, tensor.shape));
}
