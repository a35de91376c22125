import { CapabilityError, OptionError } from '@ediffi/core';
import { withLora, type Lora, type LoraLayer } from '@ediffi/backends/lora';
import { ortNode } from '@ediffi/backends/ort-node';
import { afterAll, describe, expect, it } from 'vitest';
import { graphSource, Pipeline, type OpenOptions } from '../index.js';
import { fixture } from '../testing/parity.js';

const backend = ortNode();
afterAll(() => backend.dispose());
const prompt = 'a lighthouse on a cliff at sunset, oil painting';
const call = { seed: 3, width: 64, height: 64, steps: 3 } as const;

const factors = (count: number, shift: number) => (): Float32Array => Float32Array.from({ length: count }, (_, i) => 0.5 * Math.sin(i + shift));
const layer = (part: LoraLayer['part'], path: string, outputs: number, inputs: number): LoraLayer => ({ part, path, rank: 1, outputs, inputs, scale: 1, up: factors(outputs, 1), down: factors(inputs, 2) });
// As diffusers names a module's parameters. Widths are the fixtures'.
const ofUnet = layer('denoiser', 'mid_block_attentions_0_transformer_blocks_0_attn2_to_v', 16, 32);
const ofText = layer('text_encoder', 'text_model_encoder_layers_1_self_attn_q_proj', 32, 32);
const lora: Lora = { name: 'touch', layers: [ofUnet, ofText] };

async function painted(family: string, options: OpenOptions = {}, changes: Readonly<Record<string, Uint8Array>> = {}): Promise<{ data: number[]; versions: Readonly<Record<string, string>> }> {
  const pipeline = await Pipeline.open(fixture(family, changes), { backend, ...options });
  const { tensor, metadata } = await pipeline.generate(prompt, call);
  await pipeline.dispose();
  return { data: [...(tensor.data as Float32Array)], versions: metadata.versions };
}

describe('LoRAs of an opened model', () => {
  it('paint what its graphs with LoRAs merged by hand paint, in network and text encoder', async () => {
    const files = fixture('sd15');
    const merged = async (file: string, part: LoraLayer['part']): Promise<Uint8Array> => (await withLora(await graphSource(files, file), [{ lora, weight: 0.7 }], part)).bytes();
    const byHand = await painted('sd15', {}, { 'unet/model.onnx': await merged('unet/model.onnx', 'denoiser'), 'text_encoder/model.onnx': await merged('text_encoder/model.onnx', 'text_encoder') });
    const [plain, nothing, all, unet, text] = [await painted('sd15'), await painted('sd15', { loras: [{ lora, weight: 0 }] }), await painted('sd15', { loras: [{ lora, weight: 0.7 }] }), await painted('sd15', { loras: { unet: [{ lora, weight: 0.7 }] } }), await painted('sd15', { loras: { text_encoder: [{ lora, weight: 0.7 }] } })];
    expect(all.data).toEqual(byHand.data);
    expect(nothing.data).toEqual(plain.data);
    const pictures = [plain, all, unet, text].map(({ data }) => data.join());
    expect(new Set(pictures).size).toBe(4);
    expect(all.versions).toMatchObject({ 'lora touch': 'unet 0.7, text_encoder 0.7' });
    expect(Object.keys(plain.versions).join()).not.toContain('lora');
  });

  it('go into one expert by its name, and not into a refiner unless it is named', async () => {
    const refiner = fixture('sdxl-refiner');
    const reading = (width: number): Lora => ({ name: `of ${width}`, layers: [layer('denoiser', ofUnet.path, 16, width)] }); // SDXL's network reads both encoders, 72 wide, the refiner's one of them, 40
    const [plain, listed, base, second] = await Promise.all([painted('sdxl', { refiner }), painted('sdxl', { refiner, loras: [{ lora: reading(72) }] }), painted('sdxl', { refiner, loras: { base: [{ lora: reading(72) }] } }), painted('sdxl', { refiner, loras: { refiner: [{ lora: reading(40) }] } })]);
    expect(listed.data).toEqual(base.data);
    expect(listed.versions).toMatchObject({ 'lora of 72': 'base 1' });
    expect(second.versions).toMatchObject({ 'lora of 40': 'refiner 1' });
    expect(new Set([plain, base, second].map(({ data }) => data.join())).size).toBe(3);
    await expect(painted('sdxl', { refiner, loras: { refiner: [{ lora: reading(72) }] } })).rejects.toThrow(/maps 40 values to 16, in of 72 72 to 16/);
  });

  it('survive a shortened text encoder', async () => {
    const [plain, changed] = [await painted('sd15', { clipSkip: 1 }), await painted('sd15', { clipSkip: 1, loras: { text_encoder: [{ lora }] } })];
    expect(changed.data).not.toEqual(plain.data);
  });

  it('are refused before anything is painted where they would be lost, with what to do', async () => {
    const open = (loras: OpenOptions['loras'] & object): Promise<Pipeline> => Pipeline.open(fixture('sd15'), { backend, loras });
    await expect(open({ net: [{ lora }] })).rejects.toThrow(/loras: expected names of experts: unet, text_encoder .*nearest: unet/);
    await expect(open({ net: [{ lora }] })).rejects.toThrow(OptionError);
    await expect(open([{ lora, weight: Number.NaN }])).rejects.toThrow(/weight of touch/);
    await expect(open([{ lora: { name: 'other', layers: [layer('text_encoder_2', ofText.path, 32, 32)] } }])).rejects.toThrow(/other changes text_encoder_2, which the model has not \(it has unet, text_encoder\)/);
    await expect(open({ text_encoder: [{ lora: { name: 'half', layers: [ofUnet] } }] })).rejects.toThrow(/half has no layer for 'text_encoder', but for denoiser/);
    const nowhere = await open([{ lora: { name: 'lost', layers: [{ ...ofUnet, path: 'mid_block_nowhere' }] } }]).catch((error: unknown) => error);
    expect(CapabilityError.isInstance(nowhere) && nowhere.message).toMatch(/mid_block_nowhere \(lost\)/);
  });
});
