import { CapabilityError, float32, floats, OptionError } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { ortNode, withoutLayers } from '../ort-node.js';
import { parseModel } from './onnx.js';
import { skipLayers } from './skip-layers.js';
import { float32s, modelBytes, node, valueInfo } from './write.js';

const backend = ortNode();
afterAll(() => backend.dispose());

/** Layers h = h + relu(h·w), h = h − h/4 and a norm taken apart, its ε and the number 1 shared by all norms. Names say nothing. */
function toy(layers: number): Uint8Array {
  const nodes = [node('Mul', ['x', 'one'], 's0')];
  let [state, next] = ['s0', 1];
  const op = (kind: string, ...inputs: string[]): string => (nodes.push(node(kind, inputs, `s${next}`)), `s${next++}`);
  const norm = (x: string): string => {
    const centred = op('Sub', x, op('ReduceMean', x));
    const scale = op('Sqrt', op('Add', op('ReduceMean', op('Mul', centred, centred)), op('Mul', 'epsilon', 'one')));
    return op('Mul', op('Div', centred, scale), 'gain');
  };
  for (let i = 0; i < layers; i++) {
    state = op('Add', state, op('Relu', op('Mul', norm(state), `w${i}`)));
    state = op('Add', op('Mul', state, 'minus'), state);
  }
  nodes.push(node('Identity', [norm(state)], 'last_hidden_state'));
  return modelBytes({
    nodes,
    initializers: [float32s('one', [1], [1]), float32s('epsilon', [1], [1e-5]), float32s('minus', [1], [-0.25]), float32s('gain', [1], [3]), ...Array.from({ length: layers }, (_, i) => float32s(`w${i}`, [1], [i + 1.5]))],
    inputs: [valueInfo('x', [1, 4])],
    outputs: [valueInfo('last_hidden_state', [1, 4])],
  });
}

describe('skipLayers', () => {
  const answer = async (bytes: Uint8Array): Promise<number[]> => {
    const session = await backend.load({ name: 'toy.onnx', bytes: async () => bytes });
    const { last_hidden_state: out } = await session.run({ x: float32([0.3, -1, 2, 0.5], [1, 4]) });
    await session.dispose();
    return [...(await floats(out!))];
  };
  it('is the shorter encoder, whose operators and weights are all that is left', async () => {
    for (const [layers, count] of [[3, 1], [3, 2], [4, 4]] as const) {
      const shorter = skipLayers(toy(layers), count);
      expect(await answer(shorter)).toEqual(await answer(toy(layers - count)));
      expect([...parseModel(shorter).initializers.keys()]).toEqual([...parseModel(toy(layers - count)).initializers.keys()].filter((name) => layers > count || name !== 'minus'));
      expect(parseModel(shorter).nodes).toHaveLength(parseModel(toy(layers - count)).nodes.length);
    }
    const whole = toy(2);
    expect(skipLayers(whole, 0)).toBe(whole);
    expect(await answer(whole)).not.toEqual(await answer(toy(1)));
  });
  it('refuses more layers than there are, graphs without any, and what is no number', () => {
    expect(() => skipLayers(toy(2), 3, 'toy.onnx')).toThrow(/toy.onnx: 3 layers are to be left out, but it has only 2/);
    expect(() => skipLayers(toy(0), 1)).toThrow(CapabilityError);
    expect(() => skipLayers(toy(2), 0.5)).toThrow(OptionError);
  });
  it('reads exports of public encoders, from memory and from disk', async () => {
    const path = new URL('../../../ediffi/parity/fixtures/sd15/text_encoder/model.onnx', import.meta.url);
    const source = { name: 'text_encoder', path: path.pathname, bytes: async () => new Uint8Array(readFileSync(path)) };
    const bytes = await (await withoutLayers(source, 1)).bytes();
    const [before, after] = [parseModel(await source.bytes()), parseModel(bytes)];
    expect(after.outputs).toEqual(before.outputs);
    expect([...after.initializers.keys()].some((name) => name.includes('layers.2.'))).toBe(false);
    expect([...after.initializers.keys()].some((name) => name.includes('layers.1.'))).toBe(true);
    expect(() => skipLayers(bytes, 3, 'text_encoder')).toThrow(/it has only 2/);
  });
});
