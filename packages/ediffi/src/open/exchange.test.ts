import { CapabilityError, float32, lincomb, OptionError, zeros, type Denoiser } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { afterAll, describe, expect, it } from 'vitest';
import { Pipeline, type OpenOptions } from '../index.js';
import { fixture } from '../testing/parity.js';

const backend = ortNode();
afterAll(() => backend.dispose());
const prompt = 'a red fox in the snow';
const json = async (family: string, path: string, change: (config: Record<string, unknown>) => object): Promise<Uint8Array> => new TextEncoder().encode(JSON.stringify(change(JSON.parse(new TextDecoder().decode(await fixture(family).read(path))) as Record<string, unknown>)));
const open = (family: string, options: OpenOptions = {}, changes: Readonly<Record<string, Uint8Array>> = {}): Promise<Pipeline> => Pipeline.open(fixture(family, changes), { backend, ...options });
const gap = (a: Uint8Array, b: Uint8Array): number => Array.from(a).reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), 0);
/** The same denoiser, its calls counted. */
const counted = (inner: Denoiser, calls: number[]): Denoiser => ({ ...inner, denoise: (x, sigma, condition, call) => (calls.push(sigma), inner.denoise(x, sigma, condition, call)) });
const settings = { seed: 3, steps: 6, width: 64, height: 64 };

describe('an expert of an opened model, exchanged', () => {
  it.each([
    ['ε, PNDM', 'sd15', 'unet', {}, undefined, 1],
    ['ε, Euler', 'sd15', 'unet', {}, { _class_name: 'EulerDiscreteScheduler', beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 }, 1],
    ['v', 'sd15', 'unet', { prediction_type: 'v_prediction' }, undefined, 2], // D is turned back into v by a division by σ: with AVX-512 five of 12288 values are 2 off
    ['flow', 'sd3', 'transformer', {}, undefined, 1],
  ] as const)('%s: the model’s own denoiser in its place paints the same picture', async (_, family, name, change, scheduler, most) => {
    const pipeline = await open(family, {}, { 'scheduler/scheduler_config.json': await json(family, 'scheduler/scheduler_config.json', (c) => ({ ...c, ...change })) });
    const calls: number[] = [];
    const variant = pipeline.with({ experts: { [name]: counted(pipeline.parts.base.denoiser, calls) } });
    const options = { ...settings, ...(scheduler && { scheduler }) };
    const [own, other] = [await pipeline.generate(prompt, options), await variant.generate(prompt, options)];
    expect(calls.length).toBeGreaterThanOrEqual(settings.steps);
    expect(gap(own.data, other.data)).toBeLessThanOrEqual(most);
    expect(gap((await variant.generate('a bowl of apples', options)).data, own.data)).toBeGreaterThan(8);
    await variant.dispose();
    await pipeline.dispose();
  }, 60_000);

  it('works in its range of noise only, under guidance, solvers by name and regions', async () => {
    const pipeline = await open('sdxl', { refiner: fixture('sdxl-refiner'), cut: 0.5 });
    const calls: number[] = [];
    const variant = pipeline.with({ experts: { refiner: { denoise: async (x, sigma) => (calls.push(sigma), lincomb([0, x])) } } });
    const steps: string[] = [];
    for await (const { expert } of variant.stream(prompt, settings)) steps.push(expert);
    expect(new Set(steps)).toEqual(new Set(['base', 'refiner']));
    expect(calls).toHaveLength(steps.filter((name) => name === 'refiner').length);
    const cut = pipeline.parts.base.denoiser as Denoiser & { experts: readonly { name: string; sigmaMax: number }[] };
    expect(Math.max(...calls)).toBeLessThanOrEqual(cut.experts.find(({ name }) => name === 'refiner')!.sigmaMax);
    expect((await variant.plan(prompt, settings))[0]!.experts.map(({ name }) => name)).toEqual(['base', 'refiner']);
    const mask = float32(new Float32Array(4).fill(1), [2, 2]);
    const painted = await variant.generate(prompt, { ...settings, paint: { regions: [{ phrase: 'red fox', mask }] }, solver: 'heun' });
    expect(painted.width).toBe(64);
    expect(gap((await pipeline.generate(prompt, settings)).data, (await variant.generate(prompt, settings)).data)).toBeGreaterThan(8);
    await variant.dispose();
    await pipeline.dispose();
  }, 60_000);

  it('is refused where it does not fit', async () => {
    const denoiser = (alpha: (sigma: number) => number): Denoiser => ({ sigmaMin: 0, sigmaMax: 1, alpha, denoise: async (x) => zeros(x.shape), dispose: async () => undefined });
    const pipeline = await open('sd15');
    expect(() => pipeline.with({ experts: { refiner: denoiser(() => 1) } })).toThrow(OptionError);
    expect(() => pipeline.with({ experts: { refiner: denoiser(() => 1) } })).toThrow(/expert name: expected one of unet/);
    expect(() => pipeline.with({ experts: { unet: denoiser((s) => 1 / (1 + s)) } })).toThrow(/its α\(σ\) is neither 1 nor 1 − σ/);
    const cascade = await open('if-stage1');
    expect(() => cascade.with({ experts: { unet: denoiser(() => 1) } })).toThrow(CapabilityError);
    await pipeline.dispose();
    await cascade.dispose();
  });
});
