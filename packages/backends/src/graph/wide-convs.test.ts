import { floats, randn, type ModelSource } from '@ediffi/core';
import { afterAll, describe, expect, it } from 'vitest';
import { ortNode } from '../ort-node.js';
import { FLOAT16, parseModel } from './onnx.js';
import { widenConvs } from './wide-convs.js';
import { field } from './wire.js';
import { float32s, modelBytes, node, tensor, valueInfo } from './write.js';

const backend = ortNode();
afterAll(() => backend.dispose());

interface Conv {
  readonly channels: number;
  readonly kernel?: number;
  readonly group?: number;
  readonly half?: boolean;
}

/** Convolution with a bias of 8 channels out; half: its kernel is float16 behind a Cast. */
function bytesOf({ channels, kernel = 3, group = 1, half = false }: Conv): Uint8Array {
  const shape = [6, channels / group, kernel, kernel];
  const { data } = randn(shape, 1);
  const weights = half ? field(5, tensor('k16', FLOAT16, shape, new Uint8Array(new Uint16Array(data.length).map((_, i) => 0x3000 + i).buffer))) : float32s('k', shape, data);
  return modelBytes({
    nodes: [...(half ? [node('Cast', ['k16'], 'k', { to: 1 })] : []), node('Relu', ['x'], 'r'), node('Conv', ['r', 'k', 'b'], 'y', { kernel_shape: [kernel, kernel], group })],
    initializers: [weights, float32s('b', [6], randn([6], 2).data)],
    inputs: [valueInfo('x', ['batch', channels, 'h', 'w'])],
    outputs: [valueInfo('y', ['batch', 6, 'h2', 'w2'])],
  });
}

const answer = async (bytes: Uint8Array, channels: number): Promise<Float32Array> => {
  const source: ModelSource = { name: 'conv', bytes: async () => bytes };
  const session = await backend.load(source);
  return floats((await session.run({ x: randn([2, channels, 5, 7], 3) }))['y']!);
};

describe('convolutions that WebGPU gets wrong', () => {
  it.each([[{ channels: 6 }], [{ channels: 9 }], [{ channels: 51 }], [{ channels: 9, half: true }]] as [Conv][])('%o is widened and answers the same', async (conv) => {
    const plain = bytesOf(conv);
    const wide = widenConvs(plain);
    expect(parseModel(wide).nodes.map(({ op }) => op).filter((op) => op === 'Pad')).toHaveLength(2);
    const [before, after] = [await answer(plain, conv.channels), await answer(wide, conv.channels)];
    expect(after.length).toBe(before.length);
    after.forEach((v, i) => expect(Math.abs(v - before[i]!)).toBeLessThan(1e-5 * conv.channels));
  });

  it.each([[{ channels: 3 }], [{ channels: 4 }], [{ channels: 12 }], [{ channels: 13 }], [{ channels: 9, kernel: 1 }], [{ channels: 6, group: 2 }]] as [Conv][])('%o stays as it is', (conv) => {
    const plain = bytesOf(conv);
    expect(widenConvs(plain)).toBe(plain);
  });
});
