/*
 * What is inserted at a site (eDiff-I §4.3, arXiv 2211.01324). S are the scores before Softmax, scaled and masked:
 *
 *   S′ = S + strength·stat(S)·A      stat = max or std over pixels and keys, per picture and head
 *
 * equals softmax((QKᵀ + w·A)/√d) with w = strength·max(QKᵀ), wherever the exporter put the scale. In a joint sequence S is the block of
 * picture rows and text columns; the rest of the matrix stays as it is. Behind Softmax, optionally: its mean over heads, as a map.
 */
import type { Site } from './analysis.js';
import type { Emitter } from './emit.js';
import { FLOAT } from './onnx.js';

/** Adds the bias to `scores`; returns what Softmax shall read. `weighted` is strength·A, float32; `batch` the batch size, int64 [1]. */
export function biased(emit: Emitter, site: Site, scores: string, weighted: string, batch: string, statistic: 'max' | 'std'): string {
  const shape = site.rank === 3 ? emit.op('Shape', [scores]) : undefined;
  const four = shape === undefined ? scores : unmerged(emit, scores, batch);
  const block = emit.ends(four, cuts(emit, site));
  const stat = statistic === 'max' ? emit.cast(emit.reduce('ReduceMax', block, -2, -1), site.type, FLOAT) : deviation(emit, emit.cast(block, site.type, FLOAT));
  const bias = padded(emit, site, emit.op('Mul', [weighted, stat]));
  const sum = emit.op('Add', [four, emit.cast(bias, FLOAT, site.type)]);
  return shape === undefined ? sum : emit.reshape(sum, shape);
}

/** The attention from picture to text `[B, tokens, T]` float32, mean over heads. */
export function headMean(emit: Emitter, site: Site, weights: string, batch: string): string {
  const four = site.rank === 3 ? unmerged(emit, weights, batch) : weights;
  const block = emit.cast(emit.ends(four, cuts(emit, site)), site.type, FLOAT);
  return emit.op('Squeeze', [emit.reduce('ReduceMean', block, 1), emit.ints(1)]);
}

/** [B·heads, tokens, T] → [B, heads, tokens, T]. */
function unmerged(emit: Emitter, input: string, batch: string): string {
  const rows = emit.op('Slice', [emit.op('Shape', [input]), emit.ints(1), emit.ints(3)]);
  return emit.reshape(input, batch, emit.ints(-1), rows);
}

/** Where the picture's rows and the text's columns are. */
function cuts(emit: Emitter, { query, key }: Site): { axis: number; length: string; last: boolean }[] {
  return [
    ...(query.kind === 'joint' ? [{ axis: 2, length: emit.length(query.imageLength), last: query.textFirst }] : []),
    ...(key.kind === 'joint' ? [{ axis: 3, length: emit.length(key.textLength), last: !key.textFirst }] : []),
  ];
}

/** Zeros around the block, to the size of the joint matrix. */
function padded(emit: Emitter, { query, key }: Site, bias: string): string {
  if (query.kind !== 'joint' && key.kind !== 'joint') return bias;
  const [none, zero] = [emit.ints(0, 0), emit.ints(0)];
  const rows = query.kind === 'joint' ? emit.length(query.textLength) : zero;
  const columns = key.kind === 'joint' ? emit.length(key.imageLength) : zero;
  const [top, bottom] = query.kind === 'joint' && query.textFirst ? [rows, zero] : [zero, rows];
  const [left, right] = key.kind === 'joint' && !key.textFirst ? [columns, zero] : [zero, columns];
  return emit.op('Pad', [bias, emit.op('Concat', [none, top, left, none, bottom, right], { axis: 0 })]);
}

/** Standard deviation over pixels and keys; masked keys (far below −1000) do not count. */
function deviation(emit: Emitter, scores: string): string {
  const present = emit.op('Cast', [emit.op('Greater', [scores, emit.float(-1000)])], { to: FLOAT });
  const count = emit.reduce('ReduceSum', present, -2, -1);
  // Masked scores may be −∞, and −∞ · 0 is NaN: they are replaced, not multiplied.
  const finite = emit.op('Max', [scores, emit.float(-1000)]);
  const mean = emit.op('Div', [emit.reduce('ReduceSum', emit.op('Mul', [finite, present]), -2, -1), count]);
  const centred = emit.op('Mul', [emit.op('Sub', [finite, mean]), present]);
  return emit.op('Sqrt', [emit.op('Div', [emit.reduce('ReduceSum', emit.op('Mul', [centred, centred]), -2, -1), count])]);
}
