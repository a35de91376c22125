/* W′ = W + Σ weight·(alpha/rank)·up·down, written into a graph's initializers before a session is made of it. */
import { CapabilityError, finiteNumber, halfToNumber, ModelError, numberToHalf, type ModelSource } from '@ediffi/core';
import { byteLength, externalTensors, type ExternalTensor } from '../graph/external.js';
import { FLOAT, FLOAT16, parseModel, subgraphNodes, type Initializer, type Node, type OnnxModel } from '../graph/onnx.js';
import { concat, field, fields, opening } from '../graph/wire.js';
import { tensor } from '../graph/write.js';
import { editedSource, type SourceGraph } from '../ort/memory-graph.js';
import { sourceGraph } from '../ort/source-graph.js';
import type { Lora, LoraLayer, LoraPart } from './file.js';
import { diffusersPath } from './sdxl-names.js';
import { Targets, type Target } from './targets.js';

/** A LoRA and how much of it: 1 as it was trained, 0 nothing, negative the opposite. Default 1. */
export interface WeightedLora {
  readonly lora: Lora;
  readonly weight?: number;
}

/** A graph with LoRAs merged in; `detach()` is the source it was made of, untouched. */
export interface LoraSource extends ModelSource {
  detach(): ModelSource;
}

interface Addition {
  readonly target: Target;
  readonly layers: { readonly layer: LoraLayer; readonly weight: number }[];
}

const PREFIX = 'ediffi/lora/';
const MAX_BYTES = 2 ** 31 - 1;
const PART_NAMES: Readonly<Record<LoraPart, string>> = { denoiser: 'the UNet or transformer', text_encoder: 'the text encoder', text_encoder_2: 'the second text encoder', text_encoder_3: 'the third text encoder' };

/**
 * The graph of one part of a model with LoRAs merged into its weights, several at once, each with its weight; the file on disk is never
 * written. Layers of other parts are left to those. Only changed weights are held in memory, when the graph is loaded. Rejects with
 * CapabilityError when a layer cannot be found in the graph (`detail.missing` lists all), ModelError when sizes contradict.
 */
export async function withLora(source: ModelSource, loras: readonly WeightedLora[], part: LoraPart = 'denoiser'): Promise<LoraSource> {
  const graph = await sourceGraph(source);
  const model = parseModel(graph.bytes, source.name);
  const additions = match(model, loras, part, source.name);
  const changed = additions.reduce((sum, { target }) => sum + (byteLength(target.tensor.type, target.tensor.dims.reduce((a, b) => a * b, 1)) ?? 0), 0);
  if (graph.bytes.length + changed >= MAX_BYTES) throw new CapabilityError('lora', `${source.name}: these LoRAs change ${changed} bytes of weights, more than one ONNX message holds — use a float16 export, or LoRAs of fewer layers`, { code: 'TOO_LARGE' });
  const edit = loras.map(({ lora }) => `LoRA ${lora.name}`).join(', ');
  return { ...editedSource(source, graph, edit, () => merged(model, additions, graph)), detach: () => source };
}

function match(model: OnnxModel, loras: readonly WeightedLora[], part: LoraPart, name: string): Addition[] {
  const targets = new Targets(model);
  const found = new Map<Target, Addition>();
  const missing: string[] = [];
  for (const { lora, weight = 1 } of loras) {
    finiteNumber(`weight of ${lora.name}`, weight);
    for (const layer of lora.layers) {
      if (layer.part !== part) continue;
      const others = [layer.path.replace(/^text_model_/, ''), diffusersPath(layer.path)].filter((path) => path !== undefined);
      const target = [layer.path, ...others].map((path) => targets.find(path)).find((t) => t !== undefined);
      if (!target) {
        missing.push(`${layer.path} (${lora.name})`);
        continue;
      }
      check(target, layer, lora.name, name);
      if (weight === 0) continue;
      const addition = found.get(target) ?? { target, layers: [] };
      addition.layers.push({ layer, weight });
      found.set(target, addition);
    }
  }
  if (missing.length) {
    const sample = `${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ', …' : ''}`;
    const fused = model.nodes.some((node) => node.domain === 'com.microsoft' && /Attention/.test(node.op)) ? '; the graph has fused attention, whose weights are packed: use the export before optimisation' : '';
    throw new CapabilityError('lora', `${name}: ${missing.length} LoRA layers are not in this graph of ${PART_NAMES[part]} (${targets.count} layers have names there): ${sample} — the LoRA is for another model, or the export has lost its names${fused}`, { code: 'MISSING', missing });
  }
  return [...found.values()];
}

function check({ tensor: { type, dims }, transposed, path }: Target, { outputs, inputs }: LoraLayer, lora: string, model: string): void {
  const [out, rest] = transposed ? [dims.at(-1)!, dims[0]!] : [dims[0]!, dims.slice(1).reduce((a, b) => a * b, 1)];
  if (out !== outputs || rest !== inputs) throw new ModelError(`${model}: '${path}' maps ${rest} values to ${out}, in ${lora} ${inputs} to ${outputs} — the LoRA is for another model`, lora);
  if (type !== FLOAT && type !== FLOAT16) throw new CapabilityError('lora', `${model}: the weights of '${path}' have the ONNX element type ${type}; float32 and float16 are understood`, { code: 'DTYPE' });
}

async function merged(model: OnnxModel, additions: readonly Addition[], graph: SourceGraph): Promise<Uint8Array> {
  const outside = new Map(externalTensors(graph.bytes).map((t) => [t.name, t]));
  const fresh: Uint8Array[] = [];
  const renames = new Map<number, Map<number, string>>(); // byte offset of a node → input → its new weights
  for (const [i, { target, layers }] of additions.entries()) {
    const name = `${PREFIX}${i}`;
    const { type, dims } = target.tensor;
    fresh.push(field(5, tensor(name, type, dims, summed(await weightsOf(target.tensor, outside, graph), target, layers))));
    for (const { node, input } of target.uses) renames.set(node.raw.byteOffset, (renames.get(node.raw.byteOffset) ?? new Map<number, string>()).set(input, name));
  }
  const unused = noLongerRead(model, additions, renames);
  const parts: Uint8Array[] = [];
  for (const f of fields(model.graph)) {
    const inputs = f.number === 1 ? renames.get(f.value.byteOffset) : undefined;
    if (inputs) parts.push(field(1, withInputs(f.value, inputs)));
    else if (f.number !== 5 || !unused.has(f.value.byteOffset)) parts.push(f.raw);
  }
  parts.push(...fresh);
  return concat([...fields(graph.bytes)].flatMap((f) => (f.number === 7 ? [opening(7, parts.reduce((sum, part) => sum + part.length, 0)), ...parts] : [f.raw])));
}

/** Old weights (by byte offset) that nobody reads any more; those that another layer shares stay. */
function noLongerRead(model: OnnxModel, additions: readonly Addition[], renames: ReadonlyMap<number, ReadonlyMap<number, string>>): Set<number> {
  const read = new Set(model.outputs.map((output) => output.name));
  const visit = (node: Node): void => node.inputs.forEach((input, i) => renames.get(node.raw.byteOffset)?.has(i) || read.add(input));
  for (const node of model.nodes) {
    visit(node);
    for (const { graphs } of node.attributes.values()) for (const inner of graphs.flatMap((g) => [...subgraphNodes(g)])) inner.inputs.forEach((input) => read.add(input));
  }
  for (const f of fields(model.graph)) if (f.number === 11) for (const v of fields(f.value)) if (v.number === 1) read.add(new TextDecoder().decode(v.value)); // old files list weights among the inputs
  return new Set(additions.map(({ target }) => target.tensor).filter((t) => !read.has(t.name)).map((t) => t.typed.byteOffset));
}

function withInputs(node: Uint8Array, names: ReadonlyMap<number, string>): Uint8Array {
  let input = 0;
  return concat([...fields(node)].map((f) => {
    const name = f.number === 1 ? names.get(input++) : undefined;
    return name === undefined ? f.raw : field(1, name);
  }));
}

async function weightsOf(stored: Initializer, outside: ReadonlyMap<string, ExternalTensor>, graph: SourceGraph): Promise<Float32Array> {
  const external = outside.get(stored.name);
  const typed = [...fields(stored.typed)].filter((f) => f.number === 4).map((f) => f.value);
  const bytes = external ? await graph.read(external) : (stored.raw ?? concat(typed));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const half = stored.type === FLOAT16;
  return Float32Array.from({ length: bytes.byteLength / (half ? 2 : 4) }, (_, i) => (half ? halfToNumber(view.getUint16(2 * i, true)) : view.getFloat32(4 * i, true)));
}

function summed(weights: Float32Array, { tensor: { type }, transposed }: Target, layers: Addition['layers']): Uint8Array {
  for (const { layer, weight } of layers) {
    const { outputs, inputs, rank, scale } = layer;
    const [up, down] = [layer.up(), layer.down()];
    const row = new Float64Array(inputs);
    const [stepOut, stepIn] = transposed ? [1, outputs] : [inputs, 1];
    for (let o = 0; o < outputs; o++) {
      row.fill(0);
      for (let r = 0; r < rank; r++) {
        const factor = up[o * rank + r]! * scale * weight;
        for (let i = 0; i < inputs; i++) row[i]! += factor * down[r * inputs + i]!;
      }
      for (let i = 0, at = o * stepOut; i < inputs; i++, at += stepIn) weights[at]! += row[i]!;
    }
  }
  return new Uint8Array((type === FLOAT16 ? Uint16Array.from(weights, numberToHalf) : weights).buffer as ArrayBuffer);
}
