import { CapabilityError, DisposedError, float32, floats, ModelError, NonFiniteError, OptionError } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePng, Pipeline, type ModelFiles } from '../index.js';
import { run } from '../cli/run.js';
import { fixture, fixtureFolder, readCase } from '../testing/parity.js';
import { tiled } from './tiles.js';

const backend = ortNode();
afterAll(() => backend.dispose());
const prompt = 'a lighthouse on a cliff at sunset, oil painting';
const json = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const changed = async (files: ModelFiles, path: string, change: (config: Record<string, unknown>) => object): Promise<Uint8Array> => json(change(JSON.parse(new TextDecoder().decode(await files.read(path))) as Record<string, unknown>));
/** Opens SD 1.5 with some files changed or left out. */
const open = async (changes: Readonly<Record<string, Uint8Array | undefined>>): Promise<Pipeline> => Pipeline.open(fixture('sd15', changes), { backend });
const without = (...parts: string[]): Record<string, undefined> => Object.fromEntries(parts.map((part) => [part, undefined]));

describe('opening what is not whole', () => {
  it('names what is missing', async () => {
    await expect(open(without('model_index.json'))).rejects.toThrow(/model_index.json: not in/);
    await expect(open(without('unet/model.onnx'))).rejects.toThrow(ModelError);
    await expect(open(without('unet/model.onnx', 'unet/config.json'))).rejects.toThrow(/it has no unet\/, the network itself/);
    await expect(open(without('text_encoder/model.onnx', 'text_encoder/config.json'))).rejects.toThrow(/Stable Diffusion needs text_encoder\//);
    await expect(open(without('vae_decoder/model.onnx', 'vae_decoder/config.json'))).rejects.toThrow(/no vae_decoder\/, which turns latents into pictures/);
    await expect(open(without('tokenizer/vocab.json'))).rejects.toThrow(/neither tokenizer.json nor vocab.json/);
    await expect(open({ 'model_index.json': json({ _class_name: 'StableVideoDiffusionPipeline' }) })).rejects.toThrow(/is a StableVideoDiffusionPipeline, which cannot be opened — nearest: StableDiffusion/);
    await expect(open({ 'unet/config.json': new TextEncoder().encode('{') })).rejects.toThrow(/unet\/config.json of .*: not JSON/);
    await expect(open({ 'unet/model.onnx': (await fixture('sd15').read('unet/model.onnx')).slice(0, 100_000) })).rejects.toThrow(ModelError);
  });

  it('names both sides of a contradiction between config and graph', async () => {
    const files = fixture('sd15');
    await expect(open({ 'unet/config.json': await changed(files, 'unet/config.json', (c) => ({ ...c, in_channels: 9 })) })).rejects.toThrow(/channels of 'sample' is 4 in the graph, but 9 by in_channels/);
    await expect(open({ 'unet/config.json': await changed(files, 'unet/config.json', (c) => ({ ...c, out_channels: 8 })) })).rejects.toThrow(/answer is 4 in the graph, but 8 by out_channels/);
    await expect(open({ 'text_encoder/config.json': await changed(files, 'text_encoder/config.json', (c) => ({ ...c, hidden_size: 768 })) })).rejects.toThrow(/tokens are 32 wide in the graph, but 768 by config.json/);
    await expect(open({ 'vae_decoder/config.json': await changed(files, 'vae_decoder/config.json', (c) => ({ ...c, latent_channels: 16 })) })).rejects.toThrow(/takes 4 channels, but the latents have 16/);
    const sdxl = fixture('sdxl');
    await expect(open({ 'unet/model.onnx': await sdxl.read('unet/model.onnx') })).rejects.toThrow(/nothing here feeds its input text_embeds/);
    const wider = Object.fromEntries(await Promise.all(['model.onnx', 'config.json'].map(async (file) => [`text_encoder/${file}`, await sdxl.read(`text_encoder_2/${file}`)] as const)));
    await expect(open(wider)).rejects.toThrow(/width of 'encoder_hidden_states' is 32 in the graph, but 40 by the text encoders/);
  });

  it('refuses options, sizes and numbers that lead nowhere', async () => {
    const pipeline = await open({});
    await expect(pipeline.generate(prompt, { width: 72 })).rejects.toThrow(OptionError);
    await expect(pipeline.generate(prompt, { scheduler: { _class_name: 'GuessScheduler' } })).rejects.toThrow(CapabilityError);
    await expect(pipeline.generate(prompt, { scheduler: { _class_name: 'DDIMScheduler' }, solver: 'euler' })).rejects.toThrow(/scheduler: expected none together with a solver/);
    await expect(pipeline.generate(prompt, { style: { image: { width: 1, height: 1, data: Uint8Array.of(0, 0, 0) } } })).rejects.toThrow(/a pipeline with an image encoder/);
    await expect(pipeline.generate(prompt, { guidance: { scale: 2, embedded: 3 } })).rejects.toThrow(/does not take its guidance as an input/);
    const broken = float32(new Float32Array(256).fill(Number.NaN), [1, 4, 8, 8]);
    const failure = await pipeline.generate(prompt, { width: 64, height: 64, steps: 2, noise: broken }).catch((error: unknown) => error);
    expect(NonFiniteError.isInstance(failure) && failure.message).toMatch(/the answer of 'unet': not a finite number at σ = \d.* — try fp32/);
    await expect(Pipeline.open(fixture('sdxl'), { backend, refiner: fixture('sdxl-refiner'), cut: 1.5 })).rejects.toThrow(/cut: expected a share/);
    await expect(Pipeline.open(fixture('sdxl'), { backend, guidance: { refiner: 3 } })).rejects.toThrow(/no expert 'refiner'/);
    await expect(Pipeline.open(fixture('sd3'), { backend, lengths: { clap: 3 } })).rejects.toThrow(/lengths: expected some of clip, clip-g, t5/);
  });
});

describe('an opened model', () => {
  it('takes every control of this library: named solvers and grids, painted words, attention', async () => {
    const pipeline = await open({});
    const picture = await pipeline.generate(prompt, { seed: 1, width: 64, height: 64, steps: 6, solver: 'dpmpp2m', grid: 'karras', guidance: 5, negative: 'blurry, low quality', attention: { maps: true } });
    const wanted = readCase('sd15-dpmpp-2m-karras').tensors['image']!;
    const spread = (values: ArrayLike<number>): number => Math.sqrt(Array.from(values).reduce((sum, v) => sum + v * v, 0) / values.length);
    expect(spread(picture.data) / 255 / spread(wanted.data)).toBeCloseTo(1, 0);
    expect(picture.metadata.stages[0]).toMatchObject({ solver: 'dpmpp2m', grid: 'karras', experts: [{ name: 'unet', calls: 6 }] });
    expect(picture.attention).toBeDefined();
  });

  it('answers an abort that comes after the last step, before the autoencoder works', async () => {
    const pipeline = await open({});
    const controller = new AbortController();
    const painting = pipeline.stream(prompt, { seed: 1, width: 64, height: 64, steps: 2, signal: controller.signal });
    const watched = (async () => {
      for await (const { index, count } of painting) if (index === count - 1) controller.abort(new Error('enough'));
    })();
    await expect(watched).rejects.toThrow('enough');
    await expect(painting.finish()).rejects.toThrow('enough');
    await pipeline.dispose();
  });

  it('tells which expert paints before it runs; one resident expert paints the same', async () => {
    const options = { refiner: fixture('sdxl-refiner'), backend } as const;
    const [both, one] = [await Pipeline.open(fixture('sdxl'), options), await Pipeline.open(fixture('sdxl'), { ...options, resident: 1 })];
    const call = { seed: 3, width: 64, height: 64, steps: 8 };
    const plan = await both.plan(prompt, call);
    expect(plan).toEqual([{ stage: 'base', experts: [{ name: 'base', calls: 6 }, { name: 'refiner', calls: 2 }] }]);
    const [a, b] = [await both.generate(prompt, call), await one.generate(prompt, call)];
    expect([...a.tensor.data]).toEqual([...b.tensor.data]);
    await Promise.all([both.dispose(), one.dispose()]);
  });

  it('paints and is timed without any text, where the network is told which tokens are padding too', async () => {
    const pipeline = await Pipeline.open(fixture('pixart'), { backend });
    expect(await pipeline.describe()).toMatch(/transformer .* \d+ ms/);
    expect((await pipeline.generate(prompt, { seed: 1, steps: 2, encoders: [] })).tensor.data.every(Number.isFinite)).toBe(true);
    await pipeline.dispose();
  });

  it('a latent consistency model runs all its steps on a given picture', async () => {
    const pipeline = await Pipeline.open(fixture('lcm'), { backend });
    const image = { width: 64, height: 64, data: new Uint8Array(3 * 64 * 64).fill(99) };
    expect(await pipeline.plan(prompt, { seed: 1, width: 64, height: 64, image, strength: 0.6 })).toEqual([{ stage: 'base', experts: [{ name: 'unet', calls: 4 }] }]);
    await pipeline.dispose();
  });

  it('loads nothing more once it is disposed, also on the caller’s backend', async () => {
    let loads = 0;
    const pipeline = await Pipeline.open(fixture('sd15'), { backend: { ...backend, load: (...call) => (loads++, backend.load(...call)) } });
    await pipeline.dispose();
    const paint = { regions: [{ phrase: 'a lighthouse', mask: float32([1, 0], [1, 2]) }] };
    for (const options of [{}, { paint }]) await expect(pipeline.generate(prompt, { seed: 1, width: 64, height: 64, steps: 2, ...options })).rejects.toThrow(DisposedError);
    expect(loads).toBe(0);
  });

  it('shows previews and latents at every step, and stops when left', async () => {
    const pipeline = await open({});
    for await (const step of pipeline.stream(prompt, { seed: 1, width: 64, height: 64, steps: 6 })) {
      expect(step).toMatchObject({ stage: 'base', expert: 'unet', count: 6 });
      expect((await floats(step.x)).length).toBe(256);
      expect(await step.preview()).toMatchObject({ width: 64, height: 64 });
      if (step.index === 1) break;
    }
  });

  it('decodes large pictures in tiles that fade into each other', async () => {
    const whole = await open({});
    const cut = await Pipeline.open(fixture('sd15'), { backend, tiling: { above: 64 * 64, size: 128, overlap: 64 } });
    const call = { seed: 5, width: 256, height: 192, steps: 2 };
    const [a, b] = [await whole.generate(prompt, call), await cut.generate(prompt, call)];
    const gap = a.data.reduce((sum, v, i) => sum + Math.abs(v - b.data[i]!), 0) / a.data.length;
    expect(gap).toBeGreaterThan(0);
    expect(gap).toBeLessThan(25); // normalisation sees other statistics in a tile
    await expect(Pipeline.open(fixture('sd15'), { backend, tiling: { size: 128, overlap: 100 } })).rejects.toThrow(/at most half/);
  });
});

describe('tiled', () => {
  const picture = float32(Float32Array.from({ length: 2 * 40 * 56 }, (_, i) => Math.sin(i)), [1, 2, 40, 56]);
  it('is exact for what looks at one pixel at a time, enlarging or shrinking', async () => {
    const calls: number[][] = [];
    const same = await tiled(picture, async (x) => (calls.push([...x.shape]), x), { above: 1, size: 64, overlap: 16, ratio: 1 });
    expect(same.shape).toEqual(picture.shape);
    const small = await tiled(picture, async (x) => (calls.push([...x.shape]), x), { above: 1, size: 20, overlap: 8, ratio: 1 });
    expect(calls.length).toBeGreaterThan(6);
    small.data.forEach((v, i) => expect(v).toBeCloseTo(picture.data[i]!, 6));
  });
});

describe('the command line on a folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ediffi-open-'));
  beforeAll(async () => void (await fixtureFolder('sd15', join(folder, 'sd15'))));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const call = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const text = { out: '', err: '' };
    const code = await run(args, { out: { write: (t) => (text.out += t) }, err: { write: (t) => (text.err += t) }, env: {} });
    return { code, ...text };
  };

  it('describes components, sites, intervals', async () => {
    const { code, out, err } = await call('describe', '--model', join(folder, 'sd15'), '--no-measure');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/components {2}text_encoder [\d.]+ M, vae_encoder [\d.]+ M, vae_decoder [\d.]+ M/);
    expect(out).toMatch(/unet: text meets the picture in 7 cross attentions \(3 at stride 1, 3 at stride 2, 1 at stride 4\)/);
    expect(out).toMatch(/unet +[\d.]+ M +σ in \(0.029\d*, 14.6\d*\]/);
  });

  it('paints', async () => {
    const out = join(folder, 'picture.png');
    const { code, err } = await call('paint', prompt, '--model', join(folder, 'sd15'), '--size', '64', '--steps', '3', '--seed', '7', '--out', out);
    expect([code, err.split('\n')[0]]).toEqual([0, 'base: unet 4 network calls']); // PNDM begins with a pair
    const { readFileSync } = await import('node:fs');
    expect(decodePng(new Uint8Array(readFileSync(out)))).toMatchObject({ width: 64, height: 64 });
    expect((await call('paint', prompt, '--refiner', 'x')).code).toBe(2);
    expect((await call('paint', prompt, '--weights')).code).toBe(2);
    const bad = await call('paint', 'a (cat:1.2.3)', '--weights', '--model', join(folder, 'sd15'), '--size', '64', '--steps', '1');
    expect(bad.code).not.toBe(0);
    expect(bad.err).toMatch(/weight in the prompt: expected a number such as 1.2/);
  });
});
