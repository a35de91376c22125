import { CapabilityError, float32, floats, type PromptEmbedding } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { joinChannels } from '@ediffi/encoders';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { Pipeline, type GenerateOptions, type OpenOptions, type Prompt } from '../index.js';
import { fixture } from '../testing/parity.js';

interface Stored { prompt: Prompt; negative: string; seed: number; steps: number; guidance: number; latents: string }
const golden = JSON.parse(gunzipSync(readFileSync(new URL('../../../encoders/golden/long-prompts.json.gz', import.meta.url))).toString()) as { pictures: Record<string, Stored>; skipped: Record<string, { text: string; tokens: Record<string, string>; picture?: Stored }> };
const numbers = (base64: string): Float32Array => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
const ddim = { _class_name: 'DDIMScheduler', beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', clip_sample: false, set_alpha_to_one: false, steps_offset: 1 };
const backend = ortNode();
afterAll(() => backend.dispose());

const opened = new Map<string, Promise<Pipeline>>();
/** Opens each fixture once per way of reading prompts. */
function open(family: string, prompts?: OpenOptions['prompts']): Promise<Pipeline> {
  const key = JSON.stringify([family, prompts]);
  const made = opened.get(key) ?? Pipeline.open(fixture(family), { backend, ...(prompts && { prompts }) });
  opened.set(key, made);
  return made;
}
afterAll(async () => void (await Promise.all([...opened.values()].map(async (pipeline) => (await pipeline).dispose()))));

/** The latents after the last step, and the warnings. */
async function last(pipeline: Pipeline, prompt: Prompt, options: GenerateOptions = {}): Promise<{ latents: Float32Array; warnings: string[] }> {
  const painting = pipeline.stream(prompt, { seed: 7, steps: 2, guidance: 4, width: 64, height: 64, ...options });
  let latents = new Float32Array();
  for await (const { x } of painting) latents = Float32Array.from(await floats(x));
  return { latents, warnings: (await painting.finish()).warnings.map(({ kind, message }) => `${kind}: ${message}`) };
}
const apart = (a: Float32Array, b: Float32Array): number => a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i]!)), a.length === b.length ? 0 : Infinity) / b.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
const list = Array.from({ length: 90 }, (_, i) => (i % 2 ? 'castle' : 'apple')).join(' ');
const long = `${list} red fox`;

describe('long and weighted prompts paint as diffusers does with A1111’s embeddings', () => {
  it.each([['sd15', ddim], ['sdxl', undefined]] as const)('%s', async (family, scheduler) => {
    const { prompt, latents: wanted, ...options } = golden.pictures[family]!;
    const { latents, warnings } = await last(await open(family, { weights: true }), prompt, { ...options, ...(scheduler && { scheduler }) });
    expect(apart(latents, numbers(wanted))).toBeLessThan(1e-3);
    expect(warnings).toEqual([]);
    const plain = await last(await open(family), prompt, { ...options, ...(scheduler && { scheduler }) });
    expect(apart(latents, plain.latents)).toBeGreaterThan(0.01);
  });
});

describe('long prompts', () => {
  it('say what the pooled vector does not stand for; SDXL’s two encoders get as many columns, whoever reads the longer text', async () => {
    const sdxl = await open('sdxl');
    expect((await last(sdxl, long)).warnings).toEqual([expect.stringMatching(/^unpooled: the pooled vector of clip-g stands for its first window only, without "(castle apple ){7}castle red fox"/)]);
    for (const prompt of [{ clip: long, 'clip-g': 'a cat' }, { clip: 'a cat', 'clip-g': long }, { clip: long }]) expect((await last(sdxl, prompt, { negative: long })).latents).toHaveLength(256);
  });
  it('make SD3’s CLIP columns longer; T5 and FLUX’s pooled CLIP cut and say so', async () => {
    expect((await last(await open('sd3'), long)).warnings.map((w) => w.slice(0, 38))).toEqual(['unpooled: the pooled vector of clip st', 'unpooled: the pooled vector of clip-g ']);
    expect((await last(await open('flux-schnell'), long)).warnings).toContainEqual(expect.stringMatching(/^truncated: clip reads 77 tokens/));
    expect((await last(await open('sd3'), Array(5).fill(list).join(' '))).warnings).toContainEqual(expect.stringMatching(/^truncated: t5 reads 256 tokens/));
  });
  it('are painted beyond the first window too, and cut and refused where they are not wanted', async () => {
    const paint = { regions: [{ phrase: 'red fox', mask: float32(Float32Array.from({ length: 64 * 64 }, (_, i) => Number(i % 64 < 32)), [64, 64]) }] };
    const [painted, plain] = [await last(await open('sd15'), long, { paint }), await last(await open('sd15'), long)];
    expect(apart(painted.latents, plain.latents)).toBeGreaterThan(1e-4);
    const cut = await open('sd15', { long: false });
    expect((await last(cut, long)).warnings).toEqual([expect.stringMatching(/^truncated: clip reads 77 tokens; it did not see "(castle apple ){7}castle red fox"/)]);
    await expect(last(cut, long, { paint })).rejects.toThrow(/in the part of the prompt that no encoder reads/);
  });
  it('weights of 1 change no bit; the syntax is text unless it is asked for', async () => {
    const [weighted, plain] = [await open('sd15', { weights: true }), await open('sd15')];
    const { latents } = await last(plain, 'a red cat on the grass');
    expect((await last(weighted, 'a red (cat on:1) the grass')).latents).toEqual(latents);
    expect(apart((await last(plain, 'a red (cat on:1) the grass')).latents, latents)).toBeGreaterThan(1e-4);
    await expect(last(weighted, 'a (cat:1.2.3)')).rejects.toThrow(/weight in the prompt: expected a number such as 1.2/);
  });
  it('BREAK for an encoder that folds its prompt is no word', async () => {
    const { encoders } = (await open('pixart', { weights: true })).parts;
    const read = async (prompt: string): Promise<PromptEmbedding> => encoders['t5']!.encode([prompt]);
    const [one, two] = [await read('A red cat BREAK (a dog:1)'), await read('a red cat a dog')];
    expect(apart(await floats(one.tokens), await floats(two.tokens))).toBeLessThan(1e-5);
    expect([...new Set(one.spans[0]!.map(({ start, end }) => 'A red cat BREAK (a dog:1)'.slice(start, end).trim()))]).toEqual(['A', 'red', 'cat', 'a', 'dog']);
  });
  it('a network that takes 77 columns only: cut and said, or refused when asked for', async () => {
    // dim_param "sequence_length" → dim_value 77 and a field that no reader knows, of the same size.
    const graph = Uint8Array.from(await fixture('sd15').read('unet/model.onnx'));
    const name = Uint8Array.from([0x12, 15, ...new TextEncoder().encode('sequence_length')]);
    let found = 0;
    for (let at = 0; at + name.length <= graph.length; at++) {
      if (!name.every((byte, i) => graph[at + i] === byte)) continue;
      graph.set([0x08, 77, 0x7a, 13], at);
      found++;
    }
    expect(found).toBeGreaterThan(0);
    const files = (): ReturnType<typeof fixture> => fixture('sd15', { 'unet/model.onnx': graph });
    await expect(Pipeline.open(files(), { backend, prompts: { long: true } })).rejects.toThrow(CapabilityError);
    await expect(Pipeline.open(files(), { backend, prompts: { long: true } })).rejects.toThrow(/unet takes 77/);
    const pipeline = await Pipeline.open(files(), { backend });
    expect((await last(pipeline, long)).warnings).toEqual([expect.stringMatching(/^truncated: clip reads 77 tokens/)]);
    await pipeline.dispose();
  });
});

describe('clip skip', () => {
  const open = (family: string, clipSkip: number): Promise<Pipeline> => Pipeline.open(fixture(family), { backend, clipSkip });
  it.each([['sd15', 1], ['sd15', 2], ['sdxl', 1]] as const)('%s without %d layers reads what PyTorch gives', async (family, skip) => {
    const { text, tokens, picture } = golden.skipped[family]!;
    const pipeline = await open(family, skip);
    const parts = await Promise.all(Object.entries(pipeline.parts.encoders).map(async ([encoder, own]) => ({ encoder, embedding: await own.encode([text]) })));
    const got = await floats((await joinChannels(parts)).tokens);
    const wanted = numbers(tokens[skip]!);
    expect(got.length).toBe(wanted.length);
    expect(got.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted[i]!)), 0)).toBeLessThan(1e-4);
    if (picture && skip === 1) {
      const { prompt, latents, ...options } = picture;
      expect(apart((await last(pipeline, prompt, { ...options, scheduler: ddim })).latents, numbers(latents))).toBeLessThan(1e-3);
    }
    await pipeline.dispose();
  });
  it('is refused where there are no such layers, by name', async () => {
    await expect(open('flux-schnell', 1)).rejects.toThrow(/FLUX reads no tokens of CLIP/);
    await expect(open('sd15', -1)).rejects.toThrow(/clipSkip: expected an integer from 0 to 64/);
    const pipeline = await open('sd15', 4);
    await expect(last(pipeline, 'a cat')).rejects.toThrow(/4 layers are to be left out, but it has only 3/);
    await pipeline.dispose();
  });
});
