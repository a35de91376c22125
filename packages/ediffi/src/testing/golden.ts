/* What PyTorch answers on the weights that a file holds, as packages/model/training/golden.py wrote it; read in Node and in pages. */
import { floats, hostTensor, shapeText, type Tensor } from '@ediffi/core';

/** A tensor in JSON. */
export interface Packed {
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly base64: string;
}

/** Tensors by name. */
export type PackedTensors = Readonly<Record<string, Packed>>;

/** One graph's example. */
export interface Golden {
  readonly graph: string;
  readonly inputs: PackedTensors;
  readonly outputs: PackedTensors;
  /** Paint-with-words in PyTorch, by statistic: further inputs, and the output and attention maps they lead to. */
  readonly painted?: Readonly<Record<'max' | 'std', Pick<Golden, 'inputs' | 'outputs'>>>;
}

function unpack({ dtype, shape, base64 }: Packed): Tensor {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;
  return dtype === 'float32' ? hostTensor(new Float32Array(bytes), shape, dtype) : hostTensor(new BigInt64Array(bytes), shape, dtype);
}

/** Tensors to feed. */
export const unpackAll = (packed: PackedTensors): Record<string, Tensor> => Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, unpack(value)]));

/** Largest difference of any output, relative to that output's largest value. Throws for another shape. */
export async function gap(actual: Record<string, Tensor>, wanted: PackedTensors): Promise<number> {
  let worst = 0;
  for (const [name, packed] of Object.entries(wanted)) {
    const [expected, got] = [await floats(unpack(packed)), await floats(actual[name]!)];
    if (shapeText(actual[name]!.shape) !== shapeText(packed.shape)) throw new Error(`${name}: ${shapeText(actual[name]!.shape)}, expected ${shapeText(packed.shape)}`);
    const scale = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    worst = Math.max(worst, expected.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i]!)), 0) / scale);
  }
  return worst;
}
