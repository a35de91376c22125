import { float32, floats, int64, ModelError, ShapeError, shapeText, type Abort, type PromptEmbedding, type PromptEncoder, type Session } from '@ediffi/core';
import { PromptTokenizer } from './text/tokenizer.js';

/** What the graph of a text encoder calls its values. */
export interface TextGraphNames {
  /** int64 `[B, T]`. */
  readonly ids: string;
  /** float32 `[B, T, C]`. */
  readonly tokens: string;
  /** float32 `[B, C]`. */
  readonly pooled?: string;
}

/** T, C and, where the graph deviates from the usual, its names. */
export interface TextEncoderOptions {
  readonly length: number;
  readonly width: number;
  readonly padId?: number;
  readonly names?: TextGraphNames;
}

/**
 * A tokenizer and a loaded graph as a PromptEncoder. Takes over the session: disposing the encoder disposes it.
 * Throws ModelError when the graph lacks a promised value, ShapeError when its width or length is not the stated one.
 */
export function textEncoder(name: string, session: Session, tokenizerJson: object, options: TextEncoderOptions & { readonly names: TextGraphNames }): PromptEncoder {
  const { length, width, names } = options;
  const tokenizer = new PromptTokenizer(tokenizerJson, options);
  const input = session.inputs.find((info) => info.name === names.ids);
  if (!input) throw new ModelError(`${session.name}: the graph has no input ${names.ids} — it has ${session.inputs.map((i) => i.name).join(', ')}`, session.name);
  for (const wanted of [names.tokens, names.pooled]) {
    const output = session.outputs.find((info) => info.name === wanted);
    if (wanted === undefined) continue;
    if (!output) throw new ModelError(`${session.name}: the graph has no output ${wanted} — it has ${session.outputs.map((o) => o.name).join(', ')}`, session.name);
    const last = output.shape.at(-1);
    if (typeof last === 'number' && last !== width) throw new ShapeError(`${name} encoder output '${wanted}'`, `width ${width}`, `${last}`, 'load the encoder that the model was trained with');
  }
  const expect = (shape: readonly number[], wanted: readonly number[], what: string): void => {
    if (shape.length === wanted.length && shape.every((n, i) => n === wanted[i])) return;
    throw new ShapeError(`${name} encoder output '${what}'`, shapeText(wanted), shapeText(shape), 'load the encoder that the model was trained with');
  };

  return {
    name,
    width,
    length,
    async encode(prompts: readonly string[], call: { readonly signal?: Abort } = {}): Promise<PromptEmbedding> {
      if (prompts.length === 0) throw new ShapeError(`${name} encoder`, 'at least one prompt', 'none');
      const tokenized = prompts.map((prompt) => tokenizer.encode(prompt));
      const ids = int64(tokenized.flatMap((prompt) => [...prompt.ids]), [prompts.length, length]);
      const outputs = await session.run({ [names.ids]: ids }, call.signal ? { signal: call.signal } : {});
      const tokens = outputs[names.tokens]!;
      expect(tokens.shape, [prompts.length, length, width], names.tokens);
      const pooled = names.pooled === undefined ? undefined : outputs[names.pooled];
      if (pooled && names.pooled) expect(pooled.shape, [prompts.length, width], names.pooled);
      // A prompt without words is no prompt: zeros, as training drops it, not the encoding of an empty string.
      const empty = tokenized.map((prompt) => prompt.spans.length === 0);
      const unknown = [...new Set(tokenized.flatMap((prompt) => prompt.unknown))];
      const truncated = tokenized.flatMap((prompt) => (prompt.truncated === undefined ? [] : [prompt.truncated]));
      return {
        tokens: await withoutRows(tokens, empty),
        ...(pooled && { pooled: await withoutRows(pooled, empty) }),
        length,
        spans: tokenized.map((prompt) => prompt.spans),
        ...(unknown.length > 0 && { unknown }),
        ...(truncated.length > 0 && { truncated }),
      };
    },
    dispose: () => session.dispose(),
  };
}

/** The tensor with the marked rows set to zero; itself when none is marked. */
async function withoutRows(tensor: PromptEmbedding['tokens'], marked: readonly boolean[]): Promise<PromptEmbedding['tokens']> {
  if (!marked.some(Boolean)) return tensor;
  const data = Float32Array.from(await floats(tensor));
  const size = data.length / marked.length;
  marked.forEach((drop, row) => drop && data.fill(0, row * size, (row + 1) * size));
  return tensor.device.fromHost(float32(data, tensor.shape));
}
