import { CapabilityError, float32, floats, ModelError, OptionError, type HostTensor } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../cli/run.js';
import { windowed } from '../control.js';
import { encodePng, Pipeline, type ControlPicture, type GenerateOptions, type OpenOptions } from '../index.js';
import { fixture, fixtureFolder, readCase, type Stored } from '../testing/parity.js';
import { inOrder, residualShapes } from './control-names.js';

const backend = ortNode();
afterAll(() => backend.dispose());
const prompt = 'a lighthouse on a cliff at sunset, oil painting';
type Files = Readonly<Record<string, Uint8Array | undefined>>;
const open = (changes: Files = {}, options: OpenOptions = {}, family = 'sd15-controlnet'): Promise<Pipeline> => Pipeline.open(fixture(family, changes), { backend, ...options });
const config = async (path: string, change: Record<string, unknown>, family = 'sd15-controlnet'): Promise<Uint8Array> => new TextEncoder().encode(JSON.stringify({ ...(JSON.parse(new TextDecoder().decode(await fixture(family).read(path))) as object), ...change }));
const without = (...folders: string[]): Files => Object.fromEntries(folders.flatMap((folder) => ['model.onnx', 'config.json'].map((file) => [`${folder}/${file}`, undefined])));
const picture = ({ data, shape: [height = 1, width = 1] }: Stored): { width: number; height: number; data: Uint8Array } => ({ width, height, data: Uint8Array.from(data) });
const hint = picture(readCase('controlnet-pndm').tensors['control.0']!);
const settings: GenerateOptions = { seed: 3, steps: 3, width: 64, height: 64, guidance: 3 };
const gap = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);
const largest = (data: ArrayLike<number>): number => gap(data, new Float32Array(data.length));
/** The fixture as it is, opened once. */
let opened: Promise<Pipeline> | undefined;
const whole = (): Promise<Pipeline> => (opened ??= open());
afterAll(async () => (await opened)?.dispose());
/** The latents after the last step. */
const latents = async (pipeline: Pipeline, options: GenerateOptions): Promise<Float32Array> => {
  let last: HostTensor | undefined;
  for await (const { x } of pipeline.stream(prompt, { ...settings, ...options })) last = (await x.toHost()) as HostTensor;
  return Float32Array.from(last!.data);
};

describe('ControlNet', () => {
  it('folded into the UNet, as diffusers’ script does it, paints what the pipeline with two of them paints', async () => {
    const c = readCase('controlnet-two-dpmpp');
    const control = [0, 1].map((i): ControlPicture => ({ image: picture(c.tensors[`control.${i}`]!), ...Object.fromEntries([['scale', 'controlnet_conditioning_scale'], ['start', 'control_guidance_start'], ['end', 'control_guidance_end']].map(([ours, theirs]) => [ours, (c.arguments[theirs!] as number[])[i]])) }));
    const options = { seed: c.seed, width: 32, height: 32, steps: 6, guidance: 3, negative: 'blurry, low quality', scheduler: c.scheduler as NonNullable<GenerateOptions['scheduler']>, control };
    const { data, shape } = c.tensors['latents']!;
    const wanted = data.subarray(data.length - data.length / shape[0]!);
    const [folded, apart] = [await open({}, {}, 'sd15-controlnet-folded'), await open(without('controlnet_1'), { controlnets: [{ 'model.onnx': await fixture('sd15-controlnet').read('controlnet_1/model.onnx'), 'config.json': await fixture('sd15-controlnet').read('controlnet_1/config.json') }] })];
    expect(gap(await latents(folded, options), wanted) / largest(wanted)).toBeLessThan(1e-5);
    expect(gap(await latents(apart, options), wanted) / largest(wanted)).toBeLessThan(1e-5);
    expect(gap(await latents(folded, {}), await latents(await whole(), {})) / largest(wanted)).toBeLessThan(1e-5);
    await expect(folded.generate(prompt, { ...settings, control: { image: hint, guess: true } })).rejects.toThrow(CapabilityError);
    await expect(folded.generate(prompt, { ...settings, control: [{ image: hint }, { image: hint, network: 'controlnet' }] })).rejects.toThrow(/each network once/);
    await expect(open({}, { controlnets: [{ 'model.onnx': new Uint8Array(1) }] }, 'sd15-controlnet-folded')).rejects.toThrow(/ControlNets cannot be added/);
  });

  it('does not depend on its batch mates; scale 0 and an empty window are no control, bit for bit', async () => {
    const pipeline = await whole();
    const control = { image: hint, scale: 0.8, guess: true };
    const both = await pipeline.generate(prompt, { ...settings, seed: [3, 4], control });
    const one = await pipeline.generate(prompt, { ...settings, seed: 4, control });
    expect(gap(both[1]!.tensor.data, one.tensor.data)).toBeLessThan(1e-5);
    const plain = await latents(pipeline, {});
    expect(gap(await latents(pipeline, { control: { image: hint, scale: 0 } }), plain)).toBe(0);
    expect(gap(await latents(pipeline, { control: { image: hint, end: 0.1 } }), plain)).toBe(0);
    expect(gap(await latents(pipeline, { control: { image: hint, scale: 0.8 } }), plain)).toBeGreaterThan(0.05);
    expect(both[0]!.metadata.control).toEqual([{ network: 'controlnet', scale: 0.8, start: 0, end: 1, guess: true }]);
  });

  it('goes with prompts of several windows', async () => {
    const long = `${prompt}, ${Array.from({ length: 90 }, (_, i) => `detail ${i}`).join(', ')}`;
    const pipeline = await whole();
    const [a, b] = [await pipeline.generate(long, { ...settings, control: { image: hint } }), await pipeline.generate(long, settings)];
    expect(a.warnings.filter(({ kind }) => kind === 'truncated')).toEqual([]);
    expect(gap(a.tensor.data, b.tensor.data)).toBeGreaterThan(0.01);
  });

  it('takes pictures in any form: PNG, pixels, tensors at the painted size', async () => {
    const pipeline = await whole();
    const exact = { width: 64, height: 64, data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7) % 256) };
    const rgba = { width: 64, height: 64, data: Uint8Array.from({ length: 64 * 64 * 4 }, (_, i) => (i % 4 === 3 ? 255 : exact.data[Math.floor(i / 4) * 3 + (i % 4)]!)) };
    const tensor = float32(Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => (exact.data[(i % 4096) * 3 + Math.floor(i / 4096)]! / 255) * 2 - 1), [3, 64, 64]);
    const first = await latents(pipeline, { control: { image: exact } });
    expect(gap(await latents(pipeline, { control: { image: encodePng(rgba) } }), first)).toBe(0);
    expect(gap(await latents(pipeline, { control: { image: tensor } }), first)).toBeLessThan(1e-4);
  });

  it('acts in the experts whose graphs take it, beside regions and attention maps', async () => {
    const pair = await open({}, { refiner: fixture('sdxl-refiner'), cut: 0.5 }, 'sdxl-controlnet');
    const control = { image: hint, scale: 1.5 };
    const experts: string[] = [];
    for await (const { expert } of pair.stream(prompt, { ...settings, control })) experts.push(expert);
    expect(new Set(experts)).toEqual(new Set(['base', 'refiner']));
    const none = await latents(pair, {});
    expect(gap(await latents(pair, { control }), none)).toBeGreaterThan(0.05);
    expect(gap(await latents(pair, { control: { ...control, start: 0.5 } }), none)).toBe(0); // the refiner takes no control
    const mask = float32(Float32Array.from({ length: 64 }, (_, i) => Number(i % 8 < 4)), [8, 8]);
    const single = await whole();
    const painted = await single.generate(prompt, { ...settings, control, paint: { regions: [{ phrase: 'lighthouse', mask }] }, attention: { maps: true } });
    expect(painted.attention!.words.length).toBeGreaterThan(0);
    const silent = await latents(single, { control, paint: { strength: 0, regions: [{ phrase: 'lighthouse', mask }] } });
    expect(gap(silent, await latents(single, { control }))).toBe(0);
    await pair.dispose();
  });

  it('is refused where it does not fit, by name', async () => {
    const pipeline = await whole();
    const attempt = (control: ControlPicture | ControlPicture[], from = pipeline): Promise<unknown> => from.generate(prompt, { ...settings, control });
    await expect(attempt({ image: hint }, await Pipeline.open(fixture('sd15'), { backend }))).rejects.toThrow(/no network of this model takes ControlNet residuals — export the UNet/);
    await expect(attempt([{ image: hint }, { image: hint }, { image: hint }])).rejects.toThrow(/picture 3 of them/);
    await expect(attempt({ image: hint, network: 'canny' })).rejects.toThrow(/one of controlnet, controlnet_1/);
    await expect(attempt({ image: hint, start: 0.6, end: 0.4 })).rejects.toThrow(OptionError);
    await expect(attempt({ image: hint, scale: Number.NaN })).rejects.toThrow(OptionError);
    await expect(attempt({ image: new Uint8Array([1, 2, 3]) })).rejects.toThrow(/control: /);
    await expect(attempt([{ image: hint, network: 'controlnet' }, { image: hint, network: 'controlnet' }])).resolves.toBeDefined(); // one network, two pictures
    const bare = await open({ ...without('controlnet', 'controlnet_1'), 'model_index.json': await config('model_index.json', { controlnet: null }) });
    await expect(attempt({ image: hint }, bare)).rejects.toThrow(ModelError);
    await expect(open(without('controlnet', 'controlnet_1'))).rejects.toThrow(/names a controlnet, but there is no controlnet\//);
    await expect(open({ 'controlnet/model.onnx': undefined })).rejects.toThrow(/controlnet\/model.onnx/);
    await expect(open({ 'controlnet/config.json': await config('controlnet/config.json', { block_out_channels: [8, 16] }) })).rejects.toThrow(/'down_block_res_samples_3' has 8 channels in the graph, but 16 by config.json/);
    await expect(open({ 'controlnet/config.json': await config('controlnet/config.json', { layers_per_block: 2 }) })).rejects.toThrow(/it has 5 residual outputs, but config.json says 7/);
    await expect(open({ 'controlnet/config.json': await config('controlnet/config.json', { conditioning_channels: 1 }) })).rejects.toThrow(/channels of 'controlnet_cond' is 3 in the graph, but 1 by/);
    await expect(open({ 'unet/config.json': await config('unet/config.json', { block_out_channels: [8, 8, 8] }) })).rejects.toThrow(/it has 5 residual inputs, but config.json says 7/);
    await expect(open({ 'controlnet/model.onnx': await fixture('sd15').read('unet/model.onnx') })).rejects.toThrow(/none of its inputs takes the control picture/);
  });
});

describe('residuals', () => {
  it.each([
    ['down_block_additional_residuals_{}', 'mid_block_additional_residual'],
    ['down_block_{}_additional_residual', 'mid_block_additional_residual'],
    ['down_block_additional_residual_{}', 'mid_block_additional_residual'],
    ['down_block_res_samples_0{}', 'mid_block_res_sample'],
    ['down_block_{}', 'mid_block'],
    ['controlnet_downblock{}', 'controlnet_midblock'],
    ['input_control_0{}', 'input_control_middle'],
  ])('%s and %s are put in order', (down, middle) => {
    const names = [0, 1, 2, 3].map((i) => down.replace('{}', String(i)));
    expect(inOrder([names[2]!, middle, names[0]!, names[3]!, names[1]!].map((name) => ({ name })))).toEqual([...names, middle].map((name) => ({ name })));
  });

  it('by number, not by letter; by pairs; unnumbered last (OpenVINO)', () => {
    const ordered = (...names: string[]): string[] | undefined => inOrder(names.map((name) => ({ name })))?.map(({ name }) => name);
    expect(ordered('down_block_10', 'down_block_9', 'mid_block')).toEqual(['down_block_9', 'down_block_10', 'mid_block']);
    expect(ordered('down_block_additional_residuals_1_0', 'down_block_additional_residuals_0_2', 'mid_block_additional_residual')![0]).toBe('down_block_additional_residuals_0_2');
    expect(ordered('down_block_additional_residual', 'down_block_additional_residual.11', 'down_block_additional_residual.3', 'mid_block_additional_residual')).toEqual(['down_block_additional_residual.3', 'down_block_additional_residual.11', 'down_block_additional_residual', 'mid_block_additional_residual']);
    expect(ordered('out_0', 'out_1')).toBeUndefined();
    expect(ordered('down_block_0', 'sample')).toBeUndefined();
  });

  it('of SD 1.5 are 12 and 1, of SDXL 9 and 1', () => {
    const strides = (c: Record<string, unknown>): number[] => residualShapes(c, 'config.json').map(({ stride }) => stride);
    expect(strides({ block_out_channels: [320, 640, 1280, 1280], layers_per_block: 2 })).toEqual([1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8]);
    expect(strides({ block_out_channels: [320, 640, 1280], layers_per_block: 2 })).toEqual([1, 1, 1, 2, 2, 2, 4, 4, 4, 4]);
  });

  it('are there from start to end, as diffusers counts calls', () => {
    const sigmas = [14, 10, 7, 5, 3, 2, 1, 0.5];
    const kept = (start: number, end: number): boolean[] => sigmas.map(windowed({ scale: 1, start, end }, sigmas)).map(Boolean);
    const wanted = (start: number, end: number): boolean[] => sigmas.map((_, i) => !(i / 8 < start || (i + 1) / 8 > end));
    for (const [start, end] of [[0, 1], [0.25, 1], [0.26, 0.7], [0, 0.5], [0.9, 1], [0, 0.1]] as const) expect(kept(start, end)).toEqual(wanted(start, end));
  });
});

describe('the command line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ediffi-control-'));
  beforeAll(async () => {
    await fixtureFolder('sd15-controlnet', join(folder, 'model'));
    const rgba = new Uint8Array(4 * hint.width * hint.height).fill(255);
    for (let i = 0; i < hint.width * hint.height; i++) rgba.set(hint.data.subarray(3 * i, 3 * i + 3), 4 * i);
    writeFileSync(join(folder, 'hint.png'), encodePng({ width: hint.width, height: hint.height, data: rgba }));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const call = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const text = { out: '', err: '' };
    const code = await run(args, { out: { write: (t) => (text.out += t) }, err: { write: (t) => (text.err += t) }, env: {} });
    return { code, ...text };
  };

  it('describes and paints', async () => {
    const model = join(folder, 'model');
    const { out } = await call('describe', '--model', model, '--no-measure');
    expect(out).toMatch(/controlnet 0.0\d M, controlnet_1 0.0\d M/);
    expect(out).toMatch(/unet: takes 5 ControlNet residuals, from controlnet, controlnet_1/);
    const paint = (...more: string[]): Promise<{ code: number; out: string; err: string }> => call('paint', prompt, '--model', model, '--size', '64', '--steps', '2', '--seed', '7', '--out', join(folder, 'picture.png'), ...more);
    expect((await paint('--control', join(folder, 'hint.png'), '--control', join(folder, 'hint.png'), '--control-scale', '0.8', '--control-scale', '0.5', '--control-window', '0,0.5', '--control-guess')).code).toBe(0);
    expect((await paint('--control-scale', '0.8')).err).toMatch(/--control-scale: goes with --control/);
    expect((await paint('--control', join(folder, 'hint.png'), '--control-window', '0.5')).err).toMatch(/--control-window: expected START,END/);
    expect((await paint('--control', join(folder, 'nothing.png'))).err).toMatch(/--control: cannot read/);
  });
});
