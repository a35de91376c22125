/*
 * What a LoRA file says: for each layer W, two factors with ΔW = (alpha/rank)·up·down (Hu et al., arXiv 2106.09685; conv layers as a k×k
 * convolution to `rank` channels and a 1×1 one back). Names as kohya's scripts, diffusers and peft write them.
 */
import { CapabilityError, ModelError } from '@ediffi/core';
import { parseSafetensors, storedFloats, type Safetensors, type StoredTensor } from './safetensors.js';

/** Which part of a model a layer belongs to; 'denoiser' is the UNet or transformer. */
export type LoraPart = 'denoiser' | 'text_encoder' | 'text_encoder_2' | 'text_encoder_3';

/** One layer's factors: up `[out, rank]`, down `[rank, in·kernel]`. */
export interface LoraLayer {
  readonly part: LoraPart;
  /** Module path, its dots as underscores (kohya's files have no dots). */
  readonly path: string;
  readonly rank: number;
  readonly outputs: number;
  readonly inputs: number;
  /** alpha/rank. */
  readonly scale: number;
  readonly up: () => Float32Array;
  readonly down: () => Float32Array;
}

/** A parsed LoRA file. */
export interface Lora {
  readonly name: string;
  readonly layers: readonly LoraLayer[];
}

const KOHYA: readonly [string, LoraPart][] = [['lora_unet_', 'denoiser'], ['lora_transformer_', 'denoiser'], ['lora_te_', 'text_encoder'], ['lora_te1_', 'text_encoder'], ['lora_te2_', 'text_encoder_2'], ['lora_te3_', 'text_encoder_3']];
const DOTTED: readonly [string, LoraPart][] = [['unet.', 'denoiser'], ['transformer.', 'denoiser'], ['diffusion_model.', 'denoiser'], ['text_encoder.', 'text_encoder'], ['text_encoder_2.', 'text_encoder_2'], ['text_encoder_3.', 'text_encoder_3']];
const ROLES: readonly [RegExp, 'up' | 'down' | 'alpha'][] = [
  [/\.(?:lora_up|lora_B(?:\.[^.]+)?|lora\.up|lora_linear_layer\.up)\.weight$/, 'up'],
  [/\.(?:lora_down|lora_A(?:\.[^.]+)?|lora\.down|lora_linear_layer\.down)\.weight$/, 'down'],
  [/_lora\.up\.weight$/, 'up'], // diffusers' attention processors: attn1.processor.to_q_lora.up.weight
  [/_lora\.down\.weight$/, 'down'],
  [/\.alpha$/, 'alpha'],
];
const OTHER = /dora_scale|lora_magnitude|hada_|lokr_|lora_mid|\.diff(_b)?$|oft_|glora|ia3/i;

/** Reads a LoRA. Throws ModelError for damaged files, CapabilityError for adapters of other kinds (DoRA, LoHa, LoKr, …). */
export function parseLora(bytes: Uint8Array, name = 'LoRA'): Lora {
  const file = parseSafetensors(bytes, name);
  const found = new Map<string, { part: LoraPart; path: string; up?: StoredTensor; down?: StoredTensor; alpha?: number }>();
  const unknown: string[] = [];
  for (const [key, tensor] of file.tensors) {
    const role = ROLES.find(([pattern]) => pattern.test(key));
    if (!role || OTHER.test(key)) {
      unknown.push(key);
      continue;
    }
    const { part, path } = placeOf(key.replace(role[0], ''));
    const entry = found.get(`${part} ${path}`) ?? { part, path };
    if (role[1] === 'alpha') entry.alpha = storedFloats(tensor, `${name} '${key}'`)[0]!;
    else entry[role[1]] = tensor;
    found.set(`${part} ${path}`, entry);
  }
  if (unknown.length) {
    throw new CapabilityError('lora', `${name}: ${unknown.length} of ${file.tensors.size} tensors are no LoRA factors: ${unknown.slice(0, 3).join(', ')}${unknown.length > 3 ? ', …' : ''} — plain LoRA (up, down, alpha) is supported, DoRA, LoHa, LoKr and full differences are not`, { code: 'KIND', unknown });
  }
  const layers = [...found.values()].map(({ part, path, up, down, alpha }): LoraLayer => {
    if (!up || !down) throw new ModelError(`${name}: '${path}' has ${up ? 'no down' : down ? 'no up' : 'only alpha, no up and no down'} — the file is incomplete`, name);
    const [rank, outputs] = [down.shape[0] ?? 0, up.shape[0] ?? 0];
    const inputs = down.shape.slice(1).reduce((product, n) => product * n, 1);
    const upRank = up.shape.slice(1).reduce((product, n) => product * n, 1);
    if (rank < 1 || upRank !== rank) throw new ModelError(`${name}: '${path}' has up [${up.shape.join(', ')}] and down [${down.shape.join(', ')}], whose ranks differ — the file is damaged`, name);
    const scale = (alpha ?? writtenAlpha(file, part, name) ?? rank) / rank;
    if (!Number.isFinite(scale)) throw new ModelError(`${name}: '${path}' has the alpha ${alpha} — the file is damaged`, name);
    return { part, path, rank, outputs, inputs, scale, up: () => storedFloats(up, name), down: () => storedFloats(down, name) };
  });
  if (!layers.length) throw new ModelError(`${name}: no layer inside — the file is empty or no LoRA`, name);
  return { name, layers };
}

function placeOf(key: string): { readonly part: LoraPart; readonly path: string } {
  const flat = (path: string): string => path.replace(/\.processor(?=\.)/, '').replace(/to_out(_lora)?$/, 'to_out.0').replaceAll('.', '_');
  for (const [prefix, part] of KOHYA) if (key.startsWith(prefix)) return { part, path: key.slice(prefix.length) };
  const plain = key.replace(/^base_model\.model\./, '');
  for (const [prefix, part] of DOTTED) if (plain.startsWith(prefix)) return { part, path: flat(plain.slice(prefix.length)) };
  return { part: 'denoiser', path: flat(plain) };
}

/** alpha as diffusers notes it in the header (peft's lora_alpha); undefined where there is none. */
function writtenAlpha({ metadata }: Safetensors, part: LoraPart, name: string): number | undefined {
  const text = metadata['lora_adapter_metadata'];
  if (text === undefined) return undefined;
  let notes: Record<string, unknown>;
  try {
    notes = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new ModelError(`${name}: lora_adapter_metadata is not JSON — the file is damaged`, name, { cause });
  }
  for (const prefix of part === 'denoiser' ? ['unet', 'transformer'] : [part]) {
    const pattern = notes[`${prefix}.alpha_pattern`];
    if (typeof pattern === 'object' && pattern !== null && Object.keys(pattern).length) throw new CapabilityError('lora', `${name}: alpha differs by layer (alpha_pattern), which is not supported — save it with an alpha per layer`, { code: 'ALPHA' });
    const alpha = notes[`${prefix}.lora_alpha`];
    if (typeof alpha === 'number') return alpha;
  }
  return undefined;
}
