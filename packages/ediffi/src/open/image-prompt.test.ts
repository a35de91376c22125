import { CapabilityError, float32, floats, ModelError, OptionError, type HostTensor } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { clipPixels, pixelOptions } from '@ediffi/encoders';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { run } from '../cli/run.js';
import { encodePng, Pipeline, type GenerateOptions } from '../index.js';
import { caseNames, fixture, fixtureFolder, readCase, type Stored } from '../testing/parity.js';

const backend = ortNode();
afterAll(() => backend.dispose());
const prompt = 'a lighthouse on a cliff at sunset, oil painting';
const picture = ({ data, shape: [height = 1, width = 1] }: Stored): { width: number; height: number; data: Uint8Array } => ({ width, height, data: Uint8Array.from(data) });
const image = picture(readCase('image-prompt-dpmpp').tensors['prompt_image']!);
const settings: GenerateOptions = { seed: 3, steps: 3, width: 64, height: 64, guidance: 3 };
const gap = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);
const open = (changes: Readonly<Record<string, Uint8Array | undefined>> = {}, family = 'sd15-image-prompt'): Promise<Pipeline> => Pipeline.open(fixture(family, changes), { backend });
/** The fixture as it is, opened once. */
let opened: Promise<Pipeline> | undefined;
const whole = (): Promise<Pipeline> => (opened ??= open());
afterAll(async () => (await opened)?.dispose());
const config = async (path: string, change: Record<string, unknown>): Promise<Uint8Array> => new TextEncoder().encode(JSON.stringify({ ...(JSON.parse(new TextDecoder().decode(await fixture('sd15-image-prompt').read(path))) as object), ...change }));
const latents = async (pipeline: Pipeline, options: GenerateOptions): Promise<Float32Array> => {
  let last: HostTensor | undefined;
  for await (const { x } of pipeline.stream(prompt, { ...settings, ...options })) last = (await x.toHost()) as HostTensor;
  return Float32Array.from(last!.data);
};

describe('pictures for CLIP', () => {
  const cases = caseNames.filter((name) => name.startsWith('image-prompt-'));
  it('are cut and normalised as transformers does it, bit for bit but for rounding', async () => {
    expect(cases.length).toBe(4);
    const preprocessor = JSON.parse(new TextDecoder().decode(await fixture('sd15-image-prompt').read('feature_extractor/preprocessor_config.json'))) as Record<string, unknown>;
    for (const name of cases) {
      const { prompt_image: given, pixel_values: wanted } = readCase(name).tensors;
      const made = clipPixels(picture(given!), pixelOptions(preprocessor, 28));
      expect(made.shape).toEqual(wanted!.shape);
      expect(gap(made.data, wanted!.data), name).toBeLessThan(1e-5);
      expect(gap(clipPixels(picture(given!), pixelOptions(undefined, 28)).data, wanted!.data)).toBeLessThan(1e-5);
    }
  });

  it('are refused where the settings or bytes are not a picture’s', () => {
    expect(() => pixelOptions({ resample: 0 }, 28)).toThrow(/preprocessor resample: expected 1 \(Lanczos\)/);
    expect(() => pixelOptions({ image_mean: [0.5] }, 28)).toThrow(OptionError);
    expect(() => clipPixels({ width: 2, height: 2, data: new Uint8Array(4) }, pixelOptions({}, 28))).toThrow(/2 × 2 with 4 bytes/);
    const small = clipPixels({ width: 2, height: 2, data: new Uint8Array(12).fill(255) }, pixelOptions({ do_resize: false, do_normalize: false }, 4));
    expect([...small.data.slice(0, 16)]).toEqual([0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
  });
});

describe('a picture as a prompt', () => {
  it('without one, a graph that takes the scale paints as at scale 0; with one, the picture and its scale show', async () => {
    const pipeline = await whole();
    const none = await latents(pipeline, {});
    expect(gap(await latents(pipeline, { imagePrompt: { image, scale: 0 } }), none)).toBeLessThan(1e-5);
    const [half, full] = [await latents(pipeline, { imagePrompt: { image, scale: 0.5 } }), await latents(pipeline, { imagePrompt: { image } })];
    expect(gap(half, none)).toBeGreaterThan(0.05);
    expect(gap(half, full)).toBeGreaterThan(0.05);
    expect(gap(await latents(pipeline, { imagePrompt: { image: encodePng({ ...image, data: Uint8Array.from({ length: image.data.length / 3 * 4 }, (_, i) => (i % 4 === 3 ? 255 : image.data[Math.floor(i / 4) * 3 + (i % 4)]!)) }) } }), full)).toBe(0);
    const both = await pipeline.generate(prompt, { ...settings, seed: [3, 4], imagePrompt: { image, scale: 0.5 } });
    const one = await pipeline.generate(prompt, { ...settings, seed: 4, imagePrompt: { image, scale: 0.5 } });
    expect(gap(both[1]!.tensor.data, one.tensor.data)).toBeLessThan(1e-5);
    expect(one.metadata.imagePrompt).toEqual({ pictures: 1, scale: 0.5 });
    expect(await pipeline.describe({ measure: false })).toMatch(/image_encoder 0.0\d M[^]*unet: takes 1 picture as a prompt \('image_embeds'\), scale an input \('ip_adapter_scale'\)/);
  });

  it('goes with painted words and attention maps: the text’s sites are found, the picture’s tokens are not painted', async () => {
    const pipeline = await whole();
    const mask = float32(Float32Array.from({ length: 64 }, (_, i) => Number(i % 8 < 4)), [8, 8]);
    const regions = [{ phrase: 'lighthouse', mask }];
    const painted = await pipeline.generate(prompt, { ...settings, imagePrompt: { image }, paint: { regions }, attention: { maps: true } });
    expect(painted.attention!.words.length).toBeGreaterThan(0);
    const plain = await latents(pipeline, { imagePrompt: { image } });
    expect(gap(await latents(pipeline, { imagePrompt: { image }, paint: { strength: 0, regions } }), plain)).toBe(0);
    expect(gap(await latents(pipeline, { imagePrompt: { image }, paint: { regions } }), plain)).toBeGreaterThan(0.01);
    expect(await pipeline.describe({ measure: false })).toMatch(/unet: text meets the picture in 4 cross attentions/);
  });

  it('is refused where it does not fit, by name', async () => {
    const fixed = await open({}, 'sd15-image-prompt-plus');
    const none = await latents(fixed, {});
    expect(gap(await latents(fixed, { guidance: 1 }), await latents(fixed, { guidance: 1, imagePrompt: { image } }))).toBeGreaterThan(0.01);
    expect(none.every(Number.isFinite)).toBe(true);
    await expect(fixed.generate(prompt, { ...settings, imagePrompt: { image, scale: 0.4 } })).rejects.toThrow(/scale 0.4 was given, but the graph has none as an input/);
    await expect(Pipeline.open(fixture('sd15'), { backend }).then((p) => p.generate(prompt, { ...settings, imagePrompt: { image } }))).rejects.toThrow(CapabilityError);
    await expect(fixed.generate(prompt, { ...settings, imagePrompt: { image: [] } })).rejects.toThrow(OptionError);
    await expect(fixed.generate(prompt, { ...settings, imagePrompt: { image: new Uint8Array(3) } })).rejects.toThrow(/image prompt: /);
    const missing = { 'image_encoder/model.onnx': undefined, 'image_encoder/config.json': undefined };
    await expect(open(missing)).rejects.toThrow(/names an image_encoder, but there is no image_encoder\//);
    const bare = await open({ ...missing, 'model_index.json': await config('model_index.json', { image_encoder: null }) });
    await expect(bare.generate(prompt, { ...settings, imagePrompt: { image } })).rejects.toThrow(ModelError);
    expect((await latents(bare, {})).every(Number.isFinite)).toBe(true);
    await expect(open({ 'image_encoder/model.onnx': await fixture('sd15').read('text_encoder/model.onnx') })).rejects.toThrow(/'pooler_output' is 32 wide, but the network's 'image_embeds' takes 20/);
  });
});

describe('the command line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ediffi-image-prompt-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  it('paints with a picture', async () => {
    await fixtureFolder('sd15-image-prompt', join(folder, 'model'));
    writeFileSync(join(folder, 'picture.png'), encodePng({ width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 255, 0, 0, 255, 255) }));
    const call = async (...more: string[]): Promise<{ code: number; err: string }> => {
      let err = '';
      const code = await run(['paint', prompt, '--model', join(folder, 'model'), '--size', '64', '--steps', '2', '--seed', '1', '--out', join(folder, 'out.png'), ...more], { out: { write: () => undefined }, err: { write: (t) => (err += t) }, env: {} });
      return { code, err };
    };
    expect(await call('--image-prompt', join(folder, 'picture.png'), '--image-prompt-scale', '0.6')).toMatchObject({ code: 0 });
    expect((await call('--image-prompt-scale', '0.6')).err).toMatch(/--image-prompt-scale: goes with --image-prompt/);
  });
});
