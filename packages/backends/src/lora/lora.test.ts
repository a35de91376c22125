import { CapabilityError, floats, hostTensor, ModelError, OptionError, type ModelSource, type Tensor } from '@ediffi/core';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseModel } from '../graph/onnx.js';
import { concat, field, fields } from '../graph/wire.js';
import { ortNode } from '../ort-node.js';
import { parseLora, withLora, type LoraPart, type WeightedLora } from '../lora.js';
import { parseSafetensors } from './safetensors.js';
import { diffusersPath } from './sdxl-names.js';
import { Targets } from './targets.js';

interface Packed {
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly base64: string;
}
type Part = 'unet' | 'clip';
/** Written by golden/make_lora.py: what diffusers' load_lora_weights makes of the files. */
interface Golden {
  readonly weights: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<Part, Record<string, Packed>>>;
  readonly outputs: Readonly<Record<string, Record<Part, Packed>>>;
}

const folder = fileURLToPath(new URL('../../golden/lora', import.meta.url));
const golden = JSON.parse(readFileSync(`${folder}/lora.json`, 'utf8')) as Golden;
const bytesOf = (file: string): Uint8Array => new Uint8Array(readFileSync(`${folder}/${file}`));
const inMemory = (file: string): ModelSource => ({ name: file, bytes: async () => bytesOf(file) });
const onDisk = (file: string): ModelSource => ({ name: file, path: `${folder}/${file}`, bytes: () => Promise.reject(new Error('read into memory')) });
const load = (name: string, weight = golden.weights[name]!): WeightedLora => ({ lora: parseLora(bytesOf(`${name}.safetensors`), name), weight });
const cases: Readonly<Record<string, string[]>> = { kohya: ['kohya'], diffusers: ['diffusers'], both: ['kohya', 'diffusers'] };

function unpack({ dtype, shape, base64 }: Packed): Tensor {
  const { buffer } = Uint8Array.from(Buffer.from(base64, 'base64'));
  return dtype === 'float32' ? hostTensor(new Float32Array(buffer), shape, dtype) : hostTensor(new BigInt64Array(buffer), shape, dtype);
}
const expected = async (name: string, part: Part): Promise<Float32Array> => Float32Array.from(await floats(unpack(golden.outputs[name]![part])));

const root = mkdtempSync(join(tmpdir(), 'ediffi-lora-'));
let backend: ReturnType<typeof ortNode>;
beforeAll(() => void (backend = ortNode()));
afterAll(async () => {
  await backend.dispose();
  rmSync(root, { recursive: true });
});

async function output(source: ModelSource, part: Part): Promise<Float32Array> {
  const session = await backend.load(source);
  const feeds = Object.fromEntries(Object.entries(golden.inputs[part]).map(([name, packed]) => [name, unpack(packed)]));
  const result = Float32Array.from(await floats((await session.run(feeds))['out']!));
  await session.dispose();
  return result;
}
const gap = (a: Float32Array, b: Float32Array): number => b.reduce((most, v, i) => Math.max(most, Math.abs(v - a[i]!)), 0) / b.reduce((most, v) => Math.max(most, Math.abs(v)), 1);

/** The model with every initializer in a file beside it. */
function outside(file: string): ModelSource {
  const model = parseModel(bytesOf(file));
  const data: Uint8Array[] = [];
  let at = 0;
  const moved = (message: Uint8Array): Uint8Array => {
    const parts = [...fields(message)];
    const raw = parts.find((f) => f.number === 9)!.value;
    data.push(raw);
    const entries = { location: 'w.data', offset: String(at), length: String(raw.length) };
    at += raw.length;
    return concat([...parts.filter((f) => f.number !== 9).map((f) => f.raw), ...Object.entries(entries).map(([k, v]) => field(13, concat([field(1, k), field(2, v)]))), field(14, 1)]);
  };
  const graph = concat([...fields(model.graph)].map((f) => (f.number === 5 && [...fields(f.value)].some((t) => t.number === 9) ? field(5, moved(f.value)) : f.raw)));
  writeFileSync(join(root, 'model.onnx'), concat([...fields(model.bytes)].map((f) => (f.number === 7 ? field(7, graph) : f.raw))));
  writeFileSync(join(root, 'w.data'), concat(data));
  return { name: file, path: join(root, 'model.onnx'), bytes: () => Promise.reject(new Error('read into memory')) };
}

const graphs: [string, Part, LoraPart, () => ModelSource, number][] = [
  ['a TorchScript export', 'unet', 'denoiser', () => onDisk('unet-ts.onnx'), 1e-5],
  ['a dynamo export', 'unet', 'denoiser', () => onDisk('unet-dynamo.onnx'), 1e-5],
  ['an export in float16', 'unet', 'denoiser', () => onDisk('unet-fp16.onnx'), 6e-3],
  ['an export with external data', 'unet', 'denoiser', () => outside('unet-ts.onnx'), 1e-5],
  ['bytes in memory', 'unet', 'denoiser', () => inMemory('unet-ts.onnx'), 1e-5],
  ['a text encoder', 'clip', 'text_encoder', () => onDisk('clip-ts.onnx'), 1e-5],
];

describe.each(graphs)('LoRA on %s', (_, part, loraPart, source, tolerance) => {
  it.each(Object.keys(cases))('equals PyTorch: %s', async (name) => {
    const loras = cases[name]!.map((file) => load(file));
    const merged = await withLora(source(), loras, loraPart);
    const [base, wanted, actual] = [await expected('base', part), await expected(name, part), await output(merged, part)];
    expect(gap(base, wanted)).toBeGreaterThan(0.05); // it does something
    expect(gap(actual, wanted)).toBeLessThan(tolerance);
  });

  it('comes off again, and weight 0 changes no bit', async () => {
    const original = source();
    const merged = await withLora(original, [load('kohya')], loraPart);
    expect(merged.detach()).toBe(original);
    const plain = await output(original, part);
    expect(gap(plain, await expected('base', part))).toBeLessThan(tolerance);
    expect(await output(await withLora(original, [load('kohya', 0)], loraPart), part)).toEqual(plain);
    expect(await output(merged.detach(), part)).toEqual(plain);
  });
});

describe('LoRA', () => {
  it('is of each expert by itself', async () => {
    const high = await withLora(onDisk('unet-ts.onnx'), [load('kohya')]);
    const low = await withLora(onDisk('unet-ts.onnx'), [load('diffusers')]);
    expect(gap(await output(high, 'unet'), await expected('kohya', 'unet'))).toBeLessThan(1e-5);
    expect(gap(await output(low, 'unet'), await expected('diffusers', 'unet'))).toBeLessThan(1e-5);
  });

  it('works together with regions and maps', async () => {
    const session = await backend.load(await withLora(onDisk('unet-ts.onnx'), [load('kohya')]), { instrument: { regions: true, maps: true } });
    expect(session.sites?.strides.map((s) => s.stride)).toEqual([1, 2]);
    await session.dispose();
  });

  it('replaces changed weights only, and leaves the file as it was', async () => {
    const before = bytesOf('unet-ts.onnx');
    const original = parseModel(before);
    const { initializers } = parseModel(await (await withLora(inMemory('unet-ts.onnx'), [load('diffusers')])).bytes());
    const fresh = [...initializers.keys()].filter((name) => name.startsWith('ediffi/lora/'));
    expect(fresh).toHaveLength(load('diffusers').lora.layers.filter((l) => l.part === 'denoiser').length);
    expect(initializers.size).toBe(original.initializers.size);
    for (const [name, tensor] of initializers) if (!fresh.includes(name)) expect(Buffer.compare(tensor.typed, original.initializers.get(name)!.typed)).toBe(0);
    expect(Buffer.compare(bytesOf('unet-ts.onnx'), before)).toBe(0);
  });

  it('that is for another graph is refused with the list of layers', async () => {
    const error = await withLora(onDisk('clip-ts.onnx'), [load('kohya')], 'denoiser').catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CapabilityError);
    const { missing } = (error as CapabilityError).detail as { missing: string[] };
    expect(missing).toHaveLength(load('kohya').lora.layers.filter((l) => l.part === 'denoiser').length);
    expect((error as Error).message).toMatch(/layers are not in this graph of the UNet or transformer \(12 layers have names there\): .*attn1_to_q \(kohya\), /);
    // the tiny UNet of ../stock, whose names are gone
    const nameless = fileURLToPath(new URL('../../golden/stock/unet-ts-sdpa.onnx', import.meta.url));
    await expect(withLora({ name: 'nameless', path: nameless, bytes: onDisk('').bytes }, [load('diffusers')])).rejects.toThrow(/the export has lost its names/);
  });

  it('finds its layers in what optimum exports', () => {
    const targets = (file: string): Targets => new Targets(parseModel(new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../ediffi/parity/fixtures/sd15/${file}/model.onnx`, import.meta.url))))));
    const found = (all: Targets, paths: string[]): (string | undefined)[] => paths.map((path) => all.find(path)).map((t) => t && `${t.tensor.dims.join('×')}${t.transposed ? ' transposed' : ''}`);
    const block = 'down_blocks_0_attentions_0_transformer_blocks_0';
    expect(found(targets('unet'), [`${block}_attn1_to_q`, `${block}_attn2_to_out_0`, `${block}_ff_net_0_proj`, 'mid_block_attentions_0_proj_in', 'down_blocks_0_resnets_0_conv1', 'down_blocks_0_resnets_0_time_emb_proj', 'no_such_layer'])).toEqual([
      '8×8 transposed', '8×8 transposed', '8×64 transposed', '16×16×1×1', '8×8×3×3', '8×32', undefined,
    ]);
    expect(found(targets('text_encoder'), ['text_model_encoder_layers_0_self_attn_q_proj', 'text_model_encoder_layers_0_mlp_fc1'])).toEqual(['32×32 transposed', '32×64 transposed']);
  });

  it('with other sizes, or a weight that is no number, is refused', async () => {
    const { lora } = load('diffusers');
    const wide = { ...lora, layers: lora.layers.map((layer) => ({ ...layer, inputs: layer.inputs + 1 })) };
    await expect(withLora(onDisk('unet-ts.onnx'), [{ lora: wide }])).rejects.toThrow(/maps \d+ values to \d+, in diffusers \d+ to \d+ — the LoRA is for another model/);
    await expect(withLora(onDisk('unet-ts.onnx'), [load('diffusers', NaN)])).rejects.toThrow(OptionError);
  });
});

/** A safetensors file of float32 zeros. */
function safetensors(shapes: Record<string, number[]>, metadata?: Record<string, string>): Uint8Array {
  let at = 0;
  const entries = Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'F32', shape, data_offsets: [at, (at += 4 * shape.reduce((a, b) => a * b, 1))] }]);
  const header = new TextEncoder().encode(JSON.stringify({ ...(metadata && { __metadata__: metadata }), ...Object.fromEntries(entries) }));
  return concat([new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer), header, new Uint8Array(at)]);
}

describe('a LoRA file', () => {
  it('is read by every writer’s names', () => {
    const pair = (down: string, up: string): Record<string, number[]> => ({ [down]: [2, 8], [up]: [4, 2] });
    const names: [string, string, string, string][] = [
      ['lora_unet_mid_block_attentions_0_proj_in.lora_down.weight', 'lora_unet_mid_block_attentions_0_proj_in.lora_up.weight', 'denoiser', 'mid_block_attentions_0_proj_in'],
      ['lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight', 'lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight', 'text_encoder_2', 'text_model_encoder_layers_0_mlp_fc1'],
      ['unet.mid_block.attn1.to_out.0.lora_A.weight', 'unet.mid_block.attn1.to_out.0.lora_B.weight', 'denoiser', 'mid_block_attn1_to_out_0'],
      ['transformer.blocks.0.attn.to_q.lora_A.default.weight', 'transformer.blocks.0.attn.to_q.lora_B.default.weight', 'denoiser', 'blocks_0_attn_to_q'],
      ['text_encoder.layers.0.q_proj.lora_linear_layer.down.weight', 'text_encoder.layers.0.q_proj.lora_linear_layer.up.weight', 'text_encoder', 'layers_0_q_proj'],
      ['mid_block.attn1.processor.to_q_lora.down.weight', 'mid_block.attn1.processor.to_q_lora.up.weight', 'denoiser', 'mid_block_attn1_to_q'],
      ['mid_block.attn1.processor.to_out_lora.down.weight', 'mid_block.attn1.processor.to_out_lora.up.weight', 'denoiser', 'mid_block_attn1_to_out_0'],
      ['base_model.model.attn1.to_k.lora_A.weight', 'base_model.model.attn1.to_k.lora_B.weight', 'denoiser', 'attn1_to_k'],
    ];
    for (const [down, up, part, path] of names) expect(parseLora(safetensors(pair(down, up))).layers[0], down).toMatchObject({ part, path, rank: 2, outputs: 4, inputs: 8, scale: 1 });
    const noted = safetensors(pair('unet.a.lora_A.weight', 'unet.a.lora_B.weight'), { lora_adapter_metadata: '{"unet.lora_alpha": 8, "unet.r": 2}' });
    expect(parseLora(noted).layers[0]!.scale).toBe(4);
  });

  it('of SDXL’s first names is translated', () => {
    expect([
      'input_blocks_4_1_transformer_blocks_1_attn2_to_k', 'input_blocks_5_0_in_layers_2', 'input_blocks_3_0_op', 'middle_block_1_proj_in', 'middle_block_2_out_layers_3',
      'output_blocks_2_1_proj_out', 'output_blocks_2_2_conv', 'output_blocks_5_0_skip_connection', 'time_embed_0', 'down_blocks_0',
    ].map(diffusersPath)).toEqual([
      'down_blocks_1_attentions_0_transformer_blocks_1_attn2_to_k', 'down_blocks_1_resnets_1_conv1', 'down_blocks_0_downsamplers_0_conv', 'mid_block_attentions_0_proj_in', 'mid_block_resnets_1_conv2',
      'up_blocks_0_attentions_2_proj_out', 'up_blocks_0_upsamplers_0_conv', 'up_blocks_1_resnets_2_conv_shortcut', 'time_embedding_linear_1', undefined,
    ]);
  });

  it.each([
    ['of another kind', { 'unet.a.lora_A.weight': [2, 8], 'unet.a.lora_B.weight': [4, 2], 'unet.a.dora_scale': [4] }, /1 of 3 tensors are no LoRA factors: unet.a.dora_scale — plain LoRA/],
    ['with half a pair', { 'lora_unet_a.lora_down.weight': [2, 8] }, /'a' has no up — the file is incomplete/],
    ['of two ranks', { 'lora_unet_a.lora_down.weight': [2, 8], 'lora_unet_a.lora_up.weight': [4, 3] }, /up \[4, 3\] and down \[2, 8\], whose ranks differ/],
    ['without layers', {}, /no layer inside/],
  ])('%s is refused', (_, shapes, message) => expect(() => parseLora(safetensors(shapes as Record<string, number[]>))).toThrow(message));

  it('that is damaged is refused wherever it ends', () => {
    const whole = safetensors({ 'lora_unet_a.lora_down.weight': [2, 8], 'lora_unet_a.lora_up.weight': [4, 2] });
    for (const length of [0, 7, 8, 40, whole.length - 1]) expect(() => parseLora(whole.subarray(0, length)), String(length)).toThrow(ModelError);
    const huge = whole.slice();
    huge.fill(0xff, 0, 8);
    expect(() => parseSafetensors(huge)).toThrow(/its header takes/);
    const text = (json: string): Uint8Array => concat([new Uint8Array(BigUint64Array.of(BigInt(json.length)).buffer), new TextEncoder().encode(json)]);
    for (const json of ['{', '[]', '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', '{"a":{"dtype":"F3","shape":[1],"data_offsets":[0,4]}}', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}']) expect(() => parseSafetensors(text(json)), json).toThrow(ModelError);
  });
});
