import { CapabilityError } from '@ediffi/core';
import type { Attribute } from '../graph/onnx.js';
import { linear } from './linear.js';
import { int, type Op } from './op.js';
import { reductions } from './reduce.js';
import { broadcastShape, gatherBroadcast, strides, value, type Value } from './value.js';

const none: ReadonlyMap<string, Attribute> = new Map();
const matmul = (a: Value, b: Value): Value => linear['MatMul']!([a, b], none)[0]!;

/** [B, S, heads·d] → [B, heads, S, d], or transposed to [B, heads, d, S]; rank 4 comes in as [B, heads, S, d]. */
function heads(x: Value, count: number, turned: boolean): Value {
  const [b, n, s, d] = x.shape.length === 4 ? (x.shape as [number, number, number, number]) : [x.shape[0]!, count, x.shape[1]!, x.shape[2]! / count];
  const from = x.shape.length === 4 ? strides([b, n, s, d]) : [s * n * d, d, n * d, 1];
  const to = turned ? [b, n, d, s] : [b, n, s, d];
  const step = turned ? [from[0]!, from[1]!, from[3]!, from[2]!] : from;
  const data = new Float64Array(x.data.length);
  let at = 0;
  for (let i = 0; i < to[0]!; i++) for (let j = 0; j < to[1]!; j++) for (let k = 0; k < to[2]!; k++) for (let l = 0; l < to[3]!; l++) data[at++] = x.data[i * step[0]! + j * step[1]! + k * step[2]! + l * step[3]!]!;
  return value(data, to, x.dtype);
}

/** Standard attention (opset 23): softmax(scale·QKᵀ + mask)·V, as far as exports of diffusion models use it. */
export const attentions: Readonly<Record<string, Op>> = {
  Attention: ([q, k, v, mask, past], attributes) => {
    const [query, keys] = [int(attributes, 'q_num_heads', 0), int(attributes, 'kv_num_heads', 0)];
    if (query !== keys || past || int(attributes, 'is_causal', 0) || attributes.get('softcap')?.f) throw new CapabilityError('reference backend', 'Attention that is causal, capped, grouped or cached is not supported');
    const [a, b, c] = [heads(q!, query, false), heads(k!, keys, true), heads(v!, keys, false)];
    const scale = attributes.get('scale')?.f || 1 / Math.sqrt(a.shape[3]!);
    let scores = matmul(value(a.data.map((n) => n * scale), a.shape, a.dtype), b);
    if (mask) {
      const shape = broadcastShape(scores.shape, mask.shape);
      const added = gatherBroadcast(mask, shape);
      scores = value(scores.data.map((n, i) => (mask.dtype === 'bool' ? (added[i] ? n : -Infinity) : n + added[i]!)), shape, scores.dtype);
    }
    const mixed = matmul(reductions['Softmax']!([scores], none)[0]!, c);
    if (q!.shape.length === 4) return [mixed];
    const [batch, count, rows, width] = mixed.shape as [number, number, number, number];
    const joined = new Float64Array(mixed.data.length);
    mixed.data.forEach((n, i) => {
      const [l, s, h, o] = [i % width, Math.floor(i / width) % rows, Math.floor(i / (width * rows)) % count, Math.floor(i / (width * rows * count))];
      joined[((o * rows + s) * count + h) * width + l] = n;
    });
    return [value(joined, [batch, rows, count * width], mixed.dtype)];
  },
};
