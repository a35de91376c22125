/* Little models, written here byte by byte: what every backend must be able to run. */
import { randn, type ModelSource } from '@ediffi/core';
import { FLOAT16, INT64 } from '../graph/onnx.js';
import { field } from '../graph/wire.js';
import { float32s, int64s, modelBytes, node, tensor, valueInfo } from '../graph/write.js';

const source = (name: string, bytes: Uint8Array): ModelSource => ({ name, bytes: async () => bytes });

/** y = 2x + 1, x `[batch, 4]`. */
export const affine = (): ModelSource =>
  source(
    'affine',
    modelBytes({
      nodes: [node('Mul', ['x', 'two'], 'doubled'), node('Add', ['doubled', 'one'], 'y')],
      initializers: [float32s('two', [1], [2]), float32s('one', [1], [1])],
      inputs: [valueInfo('x', ['batch', 4])],
      outputs: [valueInfo('y', ['batch', 4])],
    }),
  );

/** A 3×3 box filter with zero padding, float16 weights behind a Cast: x `[batch, 1, h, w]`. */
export const boxFilter = (): ModelSource => {
  const ninth = 0x2f1c; // 1/9 in float16: 0.111083984375
  return source(
    'box filter',
    modelBytes({
      nodes: [node('Cast', ['kernel16'], 'kernel', { to: 1 }), node('Conv', ['x', 'kernel'], 'y', { pads: [1, 1, 1, 1], kernel_shape: [3, 3], strides: [1, 1] })],
      initializers: [field(5, tensor('kernel16', FLOAT16, [1, 1, 3, 3], new Uint8Array(new Uint16Array(9).fill(ninth).buffer)))],
      inputs: [valueInfo('x', ['batch', 1, 'h', 'w'])],
      outputs: [valueInfo('y', ['batch', 1, 'h', 'w'])],
    }),
  );
};

/** A 3×3 convolution of `channels` into 4, without padding: x `[batch, channels, h, w]`; its kernel is `kernelOf(channels)`. */
export const convolution = (channels: number): ModelSource =>
  source(
    `convolution of ${channels} channels`,
    modelBytes({
      nodes: [node('Conv', ['x', 'kernel'], 'y', { kernel_shape: [3, 3] })],
      initializers: [float32s('kernel', [4, channels, 3, 3], kernelOf(channels))],
      inputs: [valueInfo('x', ['batch', channels, 'h', 'w'])],
      outputs: [valueInfo('y', ['batch', 4, 'h2', 'w2'])],
    }),
  );

/** The kernel of `convolution` `[4, channels, 3, 3]`. */
export const kernelOf = (channels: number): Float32Array => randn([4, channels, 3, 3], channels).data;

/** Channels laid out as pixels, PyTorch's pixel_shuffle: x `[batch, 8, h, w]` → y `[batch, 2, 2h, 2w]`. */
export const pixelShuffle = (): ModelSource =>
  source(
    'pixel shuffle',
    modelBytes({
      nodes: [node('DepthToSpace', ['x'], 'y', { blocksize: 2, mode: 'CRD' })],
      inputs: [valueInfo('x', ['batch', 8, 'h', 'w'])],
      outputs: [valueInfo('y', ['batch', 2, 'h2', 'w2'])],
    }),
  );

/** The float16 weight of boxFilter. */
export const BOX_WEIGHT = 0.111083984375;

/** Row lookup with int64 ids `[batch, n]` in a table of 4 rows: row i is [i, 10·i]. */
export const lookup = (): ModelSource =>
  source(
    'lookup',
    modelBytes({
      nodes: [node('Gather', ['table', 'ids'], 'y', { axis: 0 })],
      initializers: [float32s('table', [4, 2], [0, 0, 1, 10, 2, 20, 3, 30])],
      inputs: [valueInfo('ids', ['batch', 'n'], INT64)],
      outputs: [valueInfo('y', ['batch', 'n', 2])],
    }),
  );

/** One cross-attention head: picture `[batch, 2, 4, 4]`, text t5 `[batch, 3, 2]`, keys = values = text. */
export const attention = (): ModelSource =>
  source(
    'attention',
    modelBytes({
      nodes: [
        node('Reshape', ['sample', 'to_tokens'], 'flat'),
        node('Transpose', ['flat'], 'tokens', { perm: [0, 2, 1] }),
        node('Unsqueeze', ['tokens', 'axis1'], 'query'),
        node('MatMul', ['t5', 'identity'], 'projected'),
        node('Unsqueeze', ['projected', 'axis1'], 'key'),
        node('Transpose', ['key'], 'key_t', { perm: [0, 1, 3, 2] }),
        node('MatMul', ['query', 'key_t'], 'scores'),
        node('Softmax', ['scores'], 'weights', { axis: -1 }),
        node('MatMul', ['weights', 'key'], 'mixed'),
        node('Squeeze', ['mixed', 'axis1'], 'rows'),
        node('Transpose', ['rows'], 'columns', { perm: [0, 2, 1] }),
        node('Reshape', ['columns', 'to_picture'], 'output'),
      ],
      initializers: [int64s('to_tokens', [0, 2, 16]), int64s('to_picture', [0, 2, 4, 4]), int64s('axis1', [1]), float32s('identity', [2, 2], [1, 0, 0, 1])],
      inputs: [valueInfo('sample', ['batch', 2, 4, 4]), valueInfo('t5', ['batch', 3, 2])],
      outputs: [valueInfo('output', ['batch', 2, 4, 4])],
    }),
  );

/** The same attention in plain arithmetic: picture and text of one row, map `[16, 3]`. */
export function attentionByHand(sample: Float32Array, text: Float32Array, map?: Float32Array, strength = 0, statistic: 'max' | 'std' = 'max'): { output: number[]; weights: number[][] } {
  const scores = Array.from({ length: 16 }, (_, i) => [0, 1, 2].map((t) => sample[i]! * text[2 * t]! + sample[16 + i]! * text[2 * t + 1]!));
  const all = scores.flat();
  const mean = all.reduce((sum, s) => sum + s, 0) / all.length;
  const top = statistic === 'max' ? Math.max(...all) : Math.sqrt(all.reduce((sum, s) => sum + (s - mean) ** 2, 0) / all.length);
  const weights = scores.map((row, i) => {
    const biased = row.map((s, t) => s + strength * top * (map?.[3 * i + t] ?? 0));
    const shares = biased.map((s) => Math.exp(s - Math.max(...biased)));
    const sum = shares.reduce((a, b) => a + b, 0);
    return shares.map((s) => s / sum);
  });
  const output = [0, 1].flatMap((c) => weights.map((row) => row.reduce((sum, w, t) => sum + w * text[2 * t + c]!, 0)));
  return { output, weights };
}

/** Width of the slow model. */
export const SLOW_WIDTH = 512;

/** Sixty products with the identity in a row, x `[m, 512]`: y = x, after m · 16 million multiplications. */
export function slow(): ModelSource {
  const [n, layers] = [SLOW_WIDTH, 60];
  const nodes = Array.from({ length: layers }, (_, i) => node('MatMul', [i ? `h${i}` : 'x', 'w'], i === layers - 1 ? 'y' : `h${i + 1}`));
  const identity = Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
  return source('slow', modelBytes({ nodes, initializers: [float32s('w', [n, n], identity)], inputs: [valueInfo('x', ['m', n])], outputs: [valueInfo('y', ['m', n])] }));
}

/** y = x + x in float16, x `[batch, 4]`. */
export const halves = (): ModelSource =>
  source('halves', modelBytes({ nodes: [node('Add', ['x', 'x'], 'y')], inputs: [valueInfo('x', ['batch', 4], FLOAT16)], outputs: [valueInfo('y', ['batch', 4], FLOAT16)] }));
