/*
 * Pictures as prompts (IP-Adapter, Ye et al. 2023, arXiv 2308.06721): a UNet whose graph takes CLIP embeddings of pictures beside the text. Which embedding a
 * graph takes shows in its rank: `[B, N, C]` or `[B, C]`, the projected one, zeros where there is no picture; `[B, N, T, C]`, the tokens of the last layer but one,
 * those of a black (zero) picture where there is none.
 */
import { CapabilityError, cast, float32, floats, ModelError, zeros, type Abort, type Conditioning, type HostTensor, type Session, type Shape, type Tensor } from '@ediffi/core';
import { clipPixels, pixelOptions, type PixelOptions } from '@ediffi/encoders';
import { graphOutline, type GraphOutline } from '@ediffi/backends/outline';
import type { SharedLoads } from '../shared-loads.js';
import { graphSource } from '../sources/index.js';
import type { ImagePromptSlot } from '../stage.js';
import { expertInput } from './framing.js';
import type { GraphFace } from './face.js';
import { lazy, type Disposable } from './lazy.js';
import { numberOf, readJson, type ModelIndex } from './model-index.js';

const EMBEDDINGS = ['image_embeds', 'image_embeddings', 'ip_adapter_image_embeds', 'image_prompt_embeds'];
const SCALES = ['ip_adapter_scale', 'ipadapter_scale', 'ip_scale', 'image_prompt_scale'];

/** Whether an input's name says that it takes the embedding of a picture, or its scale. */
export const isImagePrompt = (name: string): boolean => [...EMBEDDINGS, ...SCALES].includes(name);

/** The graph's inputs for pictures; undefined for graphs without. */
interface PromptInputs {
  readonly name: string;
  /** Sizes after the batch; undefined: known at run time. */
  readonly sizes: readonly (number | undefined)[];
  readonly scale?: { readonly name: string; readonly shape: readonly number[] };
}

function promptInputs(face: GraphFace): PromptInputs | undefined {
  const given = face.inputs.filter(({ name }) => EMBEDDINGS.includes(name));
  const scale = face.inputs.find(({ name }) => SCALES.includes(name));
  const [input] = given;
  if (!input) {
    if (scale) throw new CapabilityError('graph input', `${face.name}: it takes ${scale.name}, but no embedding of a picture (${EMBEDDINGS.join(', ')}) — export the embedding as an input of its own`, { inputs: [scale.name] });
    return undefined;
  }
  const sizes = input.shape.slice(1).map((n) => (typeof n === 'number' && n > 0 ? n : undefined));
  if (given.length > 1 || sizes.length < 1 || sizes.length > 3) throw new CapabilityError('image prompt', `${face.name}: ${given.map(({ name, shape }) => `'${name}' of ${shape.length} axes`).join(', ')} — one input [B, C], [B, pictures, C] or [B, pictures, tokens, C] is understood`, { inputs: given.map(({ name }) => name) });
  return { name: input.name, sizes, ...(scale && { scale: { name: scale.name, shape: scale.shape.map((n) => (typeof n === 'number' && n > 0 ? n : 1)) } }) };
}

/** Feeds for a graph that takes pictures where none was given: no embedding, scale 0. */
export function absentImagePrompt(session: Session, [batch = 1]: Shape, condition: Conditioning): Record<string, Tensor> {
  const inputs = promptInputs(session);
  if (!inputs) return {};
  const { name, sizes, scale } = inputs;
  const width = sizes.at(-1);
  const missing = !condition.inputs?.[name];
  if (missing && width === undefined) throw new CapabilityError('image prompt', `${session.name}: how wide '${name}' is does not show in the graph — give a picture, or export it with its width`);
  return {
    ...(missing && { [name]: zeros([batch, ...sizes.slice(0, -1).map((n) => n ?? 1), width!]) }),
    ...(scale && !condition.constants?.[scale.name] && { [scale.name]: zeros(scale.shape) }),
  };
}

/** A network that may take pictures as prompts. */
interface PromptedPart {
  readonly name: string;
  readonly outline: GraphOutline;
}

interface ImageGraph {
  readonly session: () => Promise<Session>;
  readonly pixels: PixelOptions;
  /** The output that the networks read. */
  readonly output: string;
  readonly hidden: boolean;
  /** Of the pictures that the graph takes. */
  readonly edge: readonly [height: number, width: number];
  readonly parameters: number;
}

/** How a stage takes pictures as prompts; undefined where no network does. Rejects with ModelError for an image encoder that is missing, though the index names it, or of another model. */
export async function openImagePrompt(networks: readonly PromptedPart[], index: ModelIndex, loads: SharedLoads, key: (file: string) => string, own: <T extends Disposable>(part: T) => T): Promise<ImagePromptSlot | undefined> {
  const takers = networks.flatMap(({ name, outline }) => {
    const inputs = promptInputs(outline);
    return inputs ? [{ expert: name, ...inputs }] : [];
  });
  const [first] = takers;
  if (!first) return undefined;
  const encoder = await imageGraph(index, first, loads, key, own);
  /** An embedding `[1, N, …]` under the name and in the rank that each network takes. */
  const inputs = (embedding: HostTensor): Record<string, Tensor> => Object.fromEntries(takers.map(({ expert, name, sizes }) => [expertInput(expert, name), float32(embedding.data, sizes.length === 1 ? [1, embedding.data.length] : embedding.shape)]));
  const counts = first.sizes.length === 1 ? 1 : first.sizes[0];
  return {
    scaled: takers.every(({ scale }) => scale),
    ...(counts !== undefined && { count: counts }),
    ...(encoder && { parameters: encoder.parameters }),
    line: `${takers.map(({ expert }) => expert).join(', ')}: takes ${counts ?? 'any number of'} picture${counts === 1 ? '' : 's'} as a prompt ('${first.name}'), ${first.scale ? `scale an input ('${first.scale.name}')` : 'its scale is part of the graph'}${encoder ? '' : '; there is no image_encoder/ for it'}`,
    ...(encoder?.hidden && !takers.every(({ scale }) => scale) && { unprompted: async (call) => ({ inputs: inputs(await joined(Array.from({ length: counts ?? 1 }, () => nothing(encoder, call)))) }) }),
    async told(pictures, scale, call) {
      if (!encoder) throw new ModelError(`${index.files.location}: it has no image_encoder/, which a picture as a prompt needs — export the CLIP vision model that the adapter was trained with`, 'image_encoder');
      const made = pictures.map((picture) => clipPixels(picture, encoder.pixels));
      const positive = await joined(made.map((pixels) => encoded(encoder, pixels, call)));
      const negative = encoder.hidden ? await joined(made.map(() => nothing(encoder, call))) : undefined;
      const constants = Object.fromEntries(takers.flatMap(({ scale: input }) => (input ? [[input.name, float32(new Float32Array(input.shape.reduce((a, b) => a * b, 1)).fill(scale ?? 1), input.shape)] as const] : [])));
      return { positive: { inputs: inputs(positive), constants }, negative: { inputs: negative ? inputs(negative) : {}, constants } };
    },
  };
}

async function imageGraph(index: ModelIndex, wanted: PromptInputs, loads: SharedLoads, key: (file: string) => string, own: <T extends Disposable>(part: T) => T): Promise<ImageGraph | undefined> {
  const file = 'image_encoder/model.onnx';
  if (!index.has('image_encoder')) {
    const named = index.config['image_encoder'];
    if (Array.isArray(named) && named.some((part) => part !== null)) throw new ModelError(`${index.files.location}: model_index.json names an image_encoder, but there is no image_encoder/ — export or download the whole model`, 'image_encoder');
    return undefined;
  }
  const config = await readJson(index.files, 'image_encoder/config.json');
  const outline = await graphOutline(await graphSource(index.files, file));
  const hidden = wanted.sizes.length === 3;
  const output = outline.outputs.find(({ name }) => (hidden ? name === penultimate(outline) : name === 'image_embeds')) ?? (hidden ? undefined : outline.outputs.find(({ shape }) => shape.length === 2));
  if (!output) throw new ModelError(`${file}: the network takes ${hidden ? 'the tokens of the last layer but one (hidden_states.N)' : 'the projected embedding (image_embeds)'}, but the graph gives ${outline.outputs.map(({ name }) => name).join(', ')} — export it with ${hidden ? 'hidden states' : 'its projection'}`, file);
  const [width, given] = [wanted.sizes.at(-1), output.shape.at(-1)];
  if (width !== undefined && typeof given === 'number' && given > 0 && given !== width) throw new ModelError(`${file}: '${output.name}' is ${given} wide, but the network's '${wanted.name}' takes ${width} — take the image encoder that the adapter was trained with`, file);
  const preprocessor = (await Promise.all(['feature_extractor', 'image_encoder'].map(async (folder) => ((await index.files.has(`${folder}/preprocessor_config.json`)) ? readJson(index.files, `${folder}/preprocessor_config.json`) : undefined)))).find(Boolean);
  const size = numberOf(config, 'image_size', 224, 'image_encoder/config.json');
  const session = own(lazy(() => loads.session(key(file))));
  const pixels = pixelOptions(preprocessor, size);
  return { session: session.value, pixels, output: output.name, hidden, edge: pixels.crop ? [pixels.crop.height, pixels.crop.width] : [size, size], parameters: outline.parameters };
}

/** The last hidden state but one: `hidden_states.N`, counted from the embedding on. */
function penultimate({ outputs }: GraphFace): string | undefined {
  const states = outputs.flatMap(({ name }) => (/^hidden_states[._](\d+)$/.test(name) ? [name] : [])).sort((a, b) => Number(/\d+$/.exec(a)) - Number(/\d+$/.exec(b)));
  return outputs.some(({ name }) => name === 'penultimate_hidden_state') ? 'penultimate_hidden_state' : states.at(-2);
}

/** What the networks read of one picture `[1, 3, H, W]`. */
async function encoded({ session, output }: ImageGraph, pixels: HostTensor, call: { readonly signal?: Abort }): Promise<HostTensor> {
  const graph = await session();
  const input = graph.inputs[0];
  if (!input) throw new ModelError(`${graph.name}: the graph takes nothing`, graph.name);
  const outputs = await graph.run({ [input.name]: await cast(pixels, input.dtype) }, call);
  const answer = await cast(outputs[output]!, 'float32');
  const data = Float32Array.from(await floats(answer));
  Object.values(outputs).forEach((tensor) => tensor.dispose());
  return float32(data, answer.shape.slice(1));
}

/** What stands for no picture where the networks read tokens: those of zeros in place of pixels, as diffusers has it. */
const nothing = async (graph: ImageGraph, call: { readonly signal?: Abort }): Promise<HostTensor> => encoded(graph, zeros([1, 3, ...graph.edge]), call);

/** Several of them as `[1, N, …]`, one after the other. */
async function joined(parts: readonly Promise<HostTensor>[]): Promise<HostTensor> {
  const all = await Promise.all(parts);
  const [{ data: { length: size }, shape }] = all as [HostTensor, ...HostTensor[]];
  const out = new Float32Array(size * all.length);
  all.forEach(({ data }, i) => out.set(data, i * size));
  return float32(out, [1, all.length, ...shape]);
}
