/*
 * Windows of prompts → one embedding: each window through the graph, weights, windows one after the other along the tokens. Weights multiply the
 * embeddings z of their tokens; then, as A1111 does, z · mean(z before) / mean(z after), which keeps the mean and is no more than a heuristic.
 * Deviates: the means are those of one prompt's window, A1111's of the batch: here a prompt's embedding does not depend on its batch mates.
 */
import { float32, floats, int64, zeros, type PromptEmbedding, type Tensor } from '@ediffi/core';
import type { PromptWindow, WindowedPrompt } from './text/windows.js';

/** Options of embedWindows. */
export interface EmbedOptions {
  /** What stands where another prompt of the batch has more windows: the empty prompt. */
  readonly blank: PromptWindow;
  /** At least so many windows for each prompt. */
  readonly least?: number;
  /** Windows without words are zeros instead of the encoding of their special tokens. */
  readonly dropEmpty?: boolean;
  readonly restoreMean?: boolean;
}

/** Embeddings of prompts `[B, n·T, C]`, each of as many windows as the longest has; the pooled vector is the first window's. `run`: tokens `[B, T, C]` and pooled of one window of each. */
export async function embedWindows(prompts: readonly WindowedPrompt[], run: (windows: readonly PromptWindow[]) => Promise<{ readonly tokens: Tensor; readonly pooled?: Tensor }>, options: EmbedOptions): Promise<PromptEmbedding> {
  const { blank, least = 1, dropEmpty = false, restoreMean = true } = options;
  const count = Math.max(least, ...prompts.map(({ windows }) => windows.length));
  const parts: Tensor[] = [];
  const windows: (readonly PromptWindow[])[] = [];
  let pooled: Tensor | undefined;
  for (let i = 0; i < count; i++) {
    const batch = prompts.map((prompt) => prompt.windows[i] ?? blank);
    const { tokens, pooled: vector } = await run(batch);
    const factors = batch.map((window) => (dropEmpty && window.spans.length === 0 ? 0 : (window.weights ?? 1)));
    parts.push(await weighted(tokens, factors, restoreMean));
    windows.push(batch);
    if (i === 0 && vector) pooled = await weighted(vector, factors.map((factor) => (factor === 0 ? 0 : 1)), false);
    else vector?.dispose();
  }
  const length = blank.ids.length;
  const reported = (pick: (prompt: WindowedPrompt) => readonly string[]): readonly string[] | undefined => {
    const all = [...new Set(prompts.flatMap(pick))];
    return all.length > 0 ? all : undefined;
  };
  const [unknown, truncated] = [reported((prompt) => prompt.unknown), reported(({ truncated: cut }) => (cut === undefined ? [] : [cut]))];
  const unpooled = pooled && reported(({ beyond }) => (beyond === undefined ? [] : [beyond]));
  return {
    tokens: await inRow(parts),
    ...(pooled && { pooled }),
    length: count * length,
    spans: prompts.map((_, row) => windows.flatMap((batch, i) => batch[row]!.spans.map((span) => ({ ...span, column: span.column + i * length })))),
    mask: int64(prompts.flatMap((_, row) => windows.flatMap((batch) => batch[row]!.ids.map((__, column) => Number(column < batch[row]!.used)))), [prompts.length, count * length]),
    ...(unknown && { unknown }),
    ...(truncated && { truncated }),
    ...(unpooled && { unpooled }),
  };
}

/** `[B, …]` with each row times its factor, or each column of a row times its own; the tensor itself where all are 1. */
async function weighted(tensor: Tensor, factors: readonly (number | readonly number[])[], restoreMean: boolean): Promise<Tensor> {
  if (factors.every((factor) => factor === 1)) return tensor;
  const data = Float32Array.from(await floats(tensor));
  const size = data.length / factors.length;
  factors.forEach((factor, r) => {
    if (factor === 1) return;
    const row = data.subarray(r * size, (r + 1) * size);
    if (typeof factor === 'number') return void row.fill(0);
    const width = size / factor.length;
    const before = mean(row);
    row.forEach((value, i) => (row[i] = value * factor[Math.floor(i / width)]!));
    const scale = before / mean(row);
    if (restoreMean && Number.isFinite(scale)) row.forEach((value, i) => (row[i] = value * scale));
  });
  tensor.dispose();
  return tensor.device.fromHost(float32(data, tensor.shape));
}

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** `[B, T, C]` after one another: `[B, n·T, C]`. */
async function inRow(parts: readonly Tensor[]): Promise<Tensor> {
  const [first] = parts;
  if (parts.length === 1) return first!;
  const [rows, length, width] = first!.shape as [number, number, number];
  const out = zeros([rows, parts.length * length, width]);
  const size = length * width;
  for (const [i, part] of parts.entries()) {
    const data = await floats(part);
    for (let row = 0; row < rows; row++) out.data.set(data.subarray(row * size, (row + 1) * size), (row * parts.length + i) * size);
    part.dispose();
  }
  return first!.device.fromHost(out);
}
