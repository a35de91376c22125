/*
 * How UNets that take ControlNet residuals, and ControlNets, are exported. There is no common rule: the names below are those of exporters found in public repositories
 * (hand-written torch.onnx wrappers, OnnxStack and Olive, Core ML's converter, Qualcomm's, OpenVINO's and StreamDiffusion's). What they agree on is the order.
 */
import { CapabilityError, ModelError, type ControlNames, type ResidualInput, type ValueInfo } from '@ediffi/core';
import type { GraphFace } from './face.js';
import type { Config } from './model-index.js';

/** 'down_block_additional_residuals_3', 'down_block_3_additional_residual', 'down_block_res_samples_03', 'down_block_3', 'down_block_additional_residual.5', 'controlnet_downblock4', 'input_control_03' … */
const DOWN = /^(?:controlnet_)?(?:down_?blocks?|input_control)(?:_additional_residuals?|_res_samples?|_residuals?)?(?:[._]?(\d+))?(?:[._](\d+))?(?:_additional_residuals?)?$/;
const MIDDLE = /^(?:controlnet_)?(?:mid(?:dle)?_?block|input_control_middle)(?:_additional_residuals?|_res_samples?|_residual)?$/;

/** Name of the i-th ControlNet, as diffusers names their folders. */
export const controlName = (i: number): string => (i === 0 ? 'controlnet' : `controlnet_${i}`);

/** Whether an input's name says that it takes a residual. */
export const isResidual = (name: string): boolean => MIDDLE.test(name) || DOWN.test(name);

/** Inputs of UNets into which ControlNets were folded (diffusers' convert_stable_diffusion_controlnet_to_onnx.py, ONNX Runtime's demo): pictures `[N, B, 3, H, W]`, scales `[N, 1]`. */
export const foldedNames: readonly (readonly [images: string, scales: string])[] = [['controlnet_conds', 'conditioning_scales'], ['controlnet_images', 'controlnet_scales']];

/** Residual values in the order of the blocks, the middle one last; undefined where names tell nothing. A name without number is the last of its kind. */
export function inOrder<V extends { readonly name: string }>(values: readonly V[]): V[] | undefined {
  const middle = values.filter(({ name }) => MIDDLE.test(name));
  const down = values.flatMap((value) => {
    const match = DOWN.exec(value.name);
    return match ? [{ value, at: [match[1], match[2]].map((n) => (n === undefined ? Infinity : Number(n))) }] : [];
  });
  if (middle.length !== 1 || down.length === 0) return undefined;
  down.sort((a, b) => (a.at[0] === b.at[0] ? (a.at[1] === b.at[1] ? 0 : a.at[1]! - b.at[1]!) : a.at[0]! - b.at[0]!));
  return [...down.map(({ value }) => value), middle[0]!];
}

/** Channels and strides of the residuals of a UNet or ControlNet, by its configuration: after the first convolution, each block's layers and its halving; the middle. */
export function residualShapes(config: Config, file: string): { channels: number; stride: number }[] {
  const widths = config['block_out_channels'];
  const layers = config['layers_per_block'] ?? 2;
  if (!Array.isArray(widths) || !widths.every((width) => typeof width === 'number')) throw new ModelError(`${file}: block_out_channels is ${JSON.stringify(widths)}, expected a list of numbers`, file);
  const found = [{ channels: Number(widths[0]), stride: 1 }];
  widths.forEach((width: number, i) => {
    const count = Number(Array.isArray(layers) ? layers[i] : layers);
    for (let layer = 0; layer < count; layer++) found.push({ channels: width, stride: 2 ** i });
    if (i < widths.length - 1) found.push({ channels: width, stride: 2 ** (i + 1) });
  });
  return [...found, { channels: Number(widths.at(-1)), stride: 2 ** (widths.length - 1) }];
}

/** The residual inputs of a UNet, none for a plain one. Throws ModelError for a count or channels other than its configuration's. */
export function residualInputs(face: GraphFace, config: Config): ResidualInput[] {
  const taken = face.inputs.filter(({ name }) => isResidual(name));
  if (taken.length === 0) return [];
  const ordered = inOrder(taken);
  if (!ordered) throw new ModelError(`${face.name}: residual inputs are ${taken.map(({ name }) => name).join(', ')} — expected several of the down blocks and one of the middle block`, face.name);
  const shapes = residualShapes(config, 'config.json');
  sameShapes(face, ordered, shapes, 'inputs');
  return ordered.map(({ name }, i) => ({ name, ...shapes[i]! }));
}

function sameShapes(face: GraphFace, values: readonly ValueInfo[], shapes: readonly { channels: number }[], what: string): void {
  if (values.length !== shapes.length) throw new ModelError(`${face.name}: it has ${values.length} residual ${what}, but config.json says ${shapes.length} (block_out_channels, layers_per_block) — the files are of different models`, face.name);
  values.forEach(({ name, shape }, i) => {
    const channels = shape[1];
    if (typeof channels === 'number' && channels > 0 && channels !== shapes[i]!.channels) throw new ModelError(`${face.name}: '${name}' has ${channels} channels in the graph, but ${shapes[i]!.channels} by config.json — the files are of different models`, face.name);
  });
}

/** A ControlNet's inputs and outputs, in the terms of its configuration. Throws ModelError for what is missing or contradicts the configuration, CapabilityError for inputs that nothing feeds. */
export function controlNames(face: GraphFace, config: Config, pooledInput: string | undefined): ControlNames {
  const names = face.inputs.map((input) => input.name);
  const one = (what: string, candidates: readonly string[], needed = true): string | undefined => {
    const found = candidates.find((name) => names.includes(name));
    if (found === undefined && needed) throw new ModelError(`${face.name}: none of its inputs takes ${what} (looked for ${candidates.join(', ')}) — it has ${names.join(', ')}`, face.name);
    return found;
  };
  const [sample, noise, text] = [one('the picture', ['sample', 'latent', 'x'])!, one('the time', ['timestep', 't', 'timesteps'])!, one('the texts', ['encoder_hidden_states', 'text_emb', 'context'])!];
  const image = one('the control picture', ['controlnet_cond', 'control_image', 'image_cond', 'hint', 'image'])!;
  const scale = one('the scale', ['conditioning_scale', 'controlnet_conditioning_scale', 'scale'], false);
  const pooled = pooledInput === undefined ? undefined : one('the pooled text', [pooledInput], false);
  const known = [sample, noise, text, image, scale, pooled, 'time_ids'];
  const odd = names.filter((name) => !known.includes(name));
  if (odd.length) throw new CapabilityError('graph input', `${face.name}: nothing here feeds its input ${odd.join(', ')} — export the ControlNet without ${odd.length > 1 ? 'them' : 'it'}`, { inputs: odd });
  const residuals = inOrder(face.outputs) ?? face.outputs;
  sameShapes(face, residuals, residualShapes(config, face.name), 'outputs');
  return { sample, noise, image, ...(scale !== undefined && { scale }), embeddings: { text: { tokens: text, ...(pooled !== undefined && { pooled }) } }, residuals: residuals.map(({ name }) => name) };
}
