import { CapabilityError, floats, hostTensor, OptionError, type Instrumentation, type Tensor } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { ortNode } from '../ort-node.js';
import { instrument } from './instrument.js';
import { parseModel } from './onnx.js';

const folder = fileURLToPath(new URL('../../golden/stock', import.meta.url));
const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(`${folder}/${name}.onnx`));
const backend = ortNode();
afterAll(() => backend.dispose());

async function outputs(name: string, options: Instrumentation): Promise<Record<string, Float32Array>> {
  const { inputs, regions } = JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8')) as Record<'inputs' | 'regions', Record<string, { shape: number[]; base64: string }>>;
  const session = await backend.load({ name, bytes: async () => bytesOf(name) }, { instrument: options });
  const feeds: Record<string, Tensor> = {};
  for (const [key, { shape, base64 }] of Object.entries({ ...inputs, ...regions })) {
    if (session.inputs.some((input) => input.name === key)) feeds[key] = hostTensor(new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer), shape, 'float32');
  }
  const results = await session.run(feeds);
  await session.dispose();
  return Object.fromEntries(await Promise.all(Object.entries(results).map(async ([key, tensor]) => [key, Float32Array.from(await floats(tensor))] as const)));
}
const gap = (a: Float32Array, b: Float32Array): number => a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);
const softmaxes = (bytes: Uint8Array): number => parseModel(bytes).nodes.filter((node) => node.op === 'Softmax').length;

describe('self-attention in slices', () => {
  // 96 tokens at the finest resolution: 7 slices do not divide them, 200 leave some empty
  it.each([['unet-ts-sdpa', 2], ['unet-ts-sdpa', 7], ['unet-ts-sdpa', 200], ['unet-dynamo-sdpa', 7], ['unet-ts-static', 4]])('of %s in %i gives the same, painted and watched too', async (name, slices) => {
    for (const options of [{}, { regions: true, maps: true }]) {
      const [whole, parts] = [await outputs(name, options), await outputs(name, { ...options, slices })];
      expect(Object.keys(parts)).toEqual(Object.keys(whole));
      for (const key of Object.keys(whole)) expect(gap(whole[key]!, parts[key]!), key).toBeLessThan(5e-6); // rows of a matrix product round with their neighbours
    }
  });

  it('is done at the finest resolution only', () => {
    const whole = bytesOf('unet-ts-sdpa');
    const { strides } = instrument(whole, {}).sites;
    expect(strides.map((s) => s.stride)).toEqual([1, 2]);
    const layers = strides[0]!.layers; // a self-attention stands beside each cross-attention
    expect(softmaxes(instrument(whole, { slices: 4 }).bytes)).toBe(softmaxes(whole) + layers * 3);
    expect(Buffer.compare(instrument(whole, { slices: 1 }).bytes, instrument(whole, {}).bytes)).toBe(0);
  });

  it('is refused where it is not spelled out', () => {
    for (const name of ['unet-ts-eager', 'unet-dynamo-attention', 'unet-ort-mha']) expect(() => instrument(bytesOf(name), { slices: 4 }), name).toThrow(CapabilityError);
    for (const slices of [0, 1.5, NaN]) expect(() => instrument(bytesOf('unet-ts-sdpa'), { slices })).toThrow(OptionError);
  });
});
