import { float32, floats, Generator } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeTexts } from '../prompts.js';
import { resolveStage } from '../resolve.js';
import { sample } from '../sample.js';
import { Pipeline } from '../index.js';
import { fixture, readCase } from '../testing/parity.js';

const backend = ortNode();
afterAll(() => backend.dispose());
const open = (): Promise<Pipeline> => Pipeline.open(fixture('if-stage1'), { backend, upsamplers: [fixture('if-stage2')] });

describe('a pixel cascade', () => {
  it('second stage equals diffusers on the same small picture', async () => {
    const { arguments: a, tensors, seed } = readCase('if-stage2');
    const { encoders, upsamplers: [stage] = [] } = (await open()).parts;
    const encode = (text: unknown): ReturnType<typeof encodeTexts> => encodeTexts({ t5: String(text) }, encoders, { emptyToo: true });
    const [plain, negative] = [await encode(a['prompt']), await encode(a['negative_prompt'])];
    const run = resolveStage(stage!, { steps: a['num_inference_steps'] as number, guidance: a['guidance_scale'] as number, augmentation: sigmaOf(a['noise_level'] as number) }, { width: 32, height: 32 });
    const { data, shape } = tensors['small']!;
    const latents = tensors['latents']!;
    const [steps = 0] = latents.shape;
    let last = new Float32Array(0);
    let index = 0;
    for await (const { x } of sample(run, { plain, styled: plain, negative, window: {} }, { generators: [new Generator(seed)], low: float32(data, shape) })) {
      last = Float32Array.from(await floats(x));
      const wanted = latents.data.subarray(index * last.length, ++index * last.length);
      const largest = wanted.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      expect(apart(last, wanted) / largest, `latents after step ${index}`).toBeLessThanOrEqual(1e-3);
    }
    expect(index).toBe(steps);
    expect((apart(last, latents.data.subarray((steps - 1) * last.length)) / 2) * 255).toBeLessThanOrEqual(2); // the picture, in 0…255
  });

  it('runs in one call, and either stage stops where it is told to', async () => {
    const pipeline = await open();
    const call = { seed: 1, steps: 3, stages: { sr1: { steps: 2 } } };
    expect(await pipeline.plan('a cat', call)).toEqual([{ stage: 'base', experts: [{ name: 'unet', calls: 3 }] }, { stage: 'sr1', experts: [{ name: 'unet', calls: 2 }] }]);
    expect(await pipeline.generate('a cat', call)).toMatchObject({ width: 32, height: 32 });
    expect(await pipeline.generate('a cat', { ...call, stages: {}, upscale: false })).toMatchObject({ width: 16, height: 16 });
    await expect(Pipeline.open(fixture('if-stage2'), { backend })).rejects.toThrow(/enlarges the pictures of another model/);
    await expect(Pipeline.open(fixture('sd15'), { backend, upsamplers: [fixture('if-stage2')] })).rejects.toThrow(/no stages that enlarge/);
  });
});

const apart = (a: Float32Array, b: Float32Array): number => a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);

/** √(1 − ᾱ) of a timestep of the cosine schedule that the model noises small pictures by. */
function sigmaOf(timestep: number): number {
  const bar = (u: number): number => Math.cos(((u + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  let product = 1;
  for (let i = 0; i <= timestep; i++) product *= 1 - Math.min(1 - bar((i + 1) / 1000) / bar(i / 1000), 0.999);
  return Math.sqrt(1 - product);
}
