import { cast, int64, ModelError, ShapeError, shapeText, type Abort, type DType, type Session, type Tensor } from '@ediffi/core';
import type { PromptWindow } from './text/windows.js';

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

/** What a graph makes of a batch of windows: tokens `[B, T, C]`, pooled `[B, P]`, float32. */
export type TextGraph = (windows: readonly PromptWindow[], signal?: Abort) => Promise<{ readonly tokens: Tensor; readonly pooled?: Tensor }>;

/** A session as a function of windows. Throws ModelError when the graph lacks a promised value, ShapeError when its width is not the stated one. */
export function textGraph(name: string, session: Session, names: TextGraphNames, { width, pooledWidth, length, masked }: { readonly width: number; readonly pooledWidth: number; readonly length: number; readonly masked: boolean }): TextGraph {
  checkGraph(name, session, names, { [names.tokens]: width, ...(names.pooled !== undefined && { [names.pooled]: pooledWidth }) });
  const typeOf = (input: string): DType => session.inputs.find((info) => info.name === input)!.dtype;
  const read = async (tensor: Tensor | undefined, shape: readonly number[], what: string): Promise<Tensor> => {
    if (!tensor || shapeText(tensor.shape) !== shapeText(shape)) throw new ShapeError(`${name} encoder output '${what}'`, shapeText(shape), tensor ? shapeText(tensor.shape) : 'none', 'load the encoder that the model was trained with');
    const numbers = await cast(tensor, 'float32');
    if (numbers !== tensor) tensor.dispose();
    return numbers;
  };
  return async (windows, signal) => {
    const rows = windows.length;
    const ids = await cast(int64(windows.flatMap((window) => [...window.ids]), [rows, length]), typeOf(names.ids));
    const mask = names.mask === undefined ? {} : { [names.mask]: await cast(int64(windows.flatMap(({ used }) => Array.from({ length }, (_, i) => Number(!masked || i < used))), [rows, length]), typeOf(names.mask)) };
    const outputs = await session.run({ [names.ids]: ids, ...mask }, signal ? { signal } : {});
    try {
      const tokens = await read(outputs[names.tokens], [rows, length, width], names.tokens);
      const pooled = names.pooled === undefined ? undefined : await read(outputs[names.pooled], [rows, pooledWidth], names.pooled);
      return { tokens, ...(pooled && { pooled }) };
    } finally {
      for (const [output, tensor] of Object.entries(outputs)) if (output !== names.tokens && output !== names.pooled) tensor.dispose();
    }
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

