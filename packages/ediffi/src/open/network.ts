/*
 * What a graph wants, read off its inputs: the picture, the time, the texts, and whatever else exporters and families add.
 */
import { CapabilityError, float32, ModelError, NonFiniteError, isHost, patches, sessionNetwork, zeros, type Conditioning, type Denoiser, type ExpertEnsemble, type GraphNames, type LiveInputs, type Network, type Session, type Shape, type Tensor } from '@ediffi/core';
import { foldedNames, isResidual } from './control-names.js';
import { dimension, widthOf, type GraphFace } from './face.js';
import type { Family } from './families.js';
import { absentImagePrompt, isImagePrompt } from './image-prompt.js';
import { numberOf, type Config } from './model-index.js';

/** Inputs that this library can feed, beside the picture, the time and the texts. */
const fed = ['time_ids', 'timestep_cond', 'guidance', 'img_ids', 'txt_ids', 'encoder_attention_mask', 'class_labels', 'resolution', 'aspect_ratio'];

/** Which graph input takes what. Throws ModelError when the picture or the time has none, CapabilityError for inputs that nothing here feeds. */
export function graphNames(face: GraphFace, family: Family): GraphNames {
  const names = face.inputs.map((input) => input.name);
  const one = (what: string, ...candidates: string[]): string => {
    const found = candidates.find((name) => names.includes(name));
    if (found === undefined) throw new ModelError(`${face.name}: none of its inputs takes ${what} (looked for ${candidates.join(', ')}) — it has ${names.join(', ')}`, face.name);
    return found;
  };
  const sample = one('the picture', 'sample', 'hidden_states');
  const noise = one('the time', 'timestep', 't');
  const text = one('the texts', 'encoder_hidden_states');
  const { pooledInput, maskInput } = family.plan;
  if (pooledInput !== undefined) one('the pooled text', pooledInput);
  const output = face.outputs[0];
  if (!output) throw new ModelError(`${face.name}: the graph gives nothing`, face.name);
  const known = [sample, noise, text, pooledInput, maskInput, ...fed];
  const control = (name: string): boolean => family.network === 'unet' && (isResidual(name) || foldedNames.flat().includes(name) || isImagePrompt(name));
  const odd = names.filter((name) => !known.includes(name) && !name.startsWith('regions_') && !control(name));
  if (odd.length) throw new CapabilityError('graph input', `${face.name}: nothing here feeds its input ${odd.join(', ')} — export the network without ${odd.length > 1 ? 'them' : 'it'}`, { inputs: odd });
  return { sample, noise, output: output.name, embeddings: { text: { tokens: text, ...(pooledInput !== undefined && { pooled: pooledInput }) } } };
}

/** Text columns, where the graph fixes their number. */
export const textLength = (face: GraphFace, names: GraphNames): number | undefined => dimension(face, names.embeddings['text']!.tokens!, 1);

/** Refuses a graph that is not what its configuration says. Throws ModelError with both numbers. */
export function checkFace(face: GraphFace, names: GraphNames, config: Config, family: Family, textWidth: number): void {
  const differ = (what: string, graph: number | undefined, said: number, where: string): void => {
    if (graph !== undefined && graph !== said) throw new ModelError(`${face.name}: ${what} is ${graph} in the graph, but ${said} by ${where} — the files are of different models`, face.name);
  };
  const channels = numberOf(config, 'in_channels', 4, 'config.json');
  differ(`the channels of '${names.sample}'`, family.packed ? widthOf(face, names.sample) : dimension(face, names.sample, 1), channels, 'in_channels of config.json');
  const output = face.outputs[0]!.shape.at(family.packed ? -1 : 1);
  const given = numberOf(config, 'out_channels', channels, 'config.json');
  if (typeof output === 'number' && output > 0) differ(`the channels of the answer`, output, given, 'out_channels of config.json');
  differ(`the width of '${names.embeddings['text']!.tokens!}'`, widthOf(face, names.embeddings['text']!.tokens!), textWidth, 'the text encoders');
}

/** FLUX: the place of each token, (0, row, column) for patches, zeros for words; the batch has none. */
function positions(face: GraphFace, shape: Shape, condition: Conditioning): Record<string, Tensor> {
  const [, , height = 1, width = 1] = shape;
  const [h, w] = [height / 2, width / 2];
  const words = condition.embeddings['text']?.tokens.shape[1] ?? 1;
  const ids = new Float32Array(h * w * 3);
  for (let i = 0; i < h * w; i++) ids.set([0, Math.floor(i / w), i % w], 3 * i);
  const ranked = (name: string, data: Float32Array, rows: number): Tensor => float32(data, face.inputs.find((input) => input.name === name)?.shape.length === 3 ? [1, rows, 3] : [rows, 3]);
  return { img_ids: ranked('img_ids', ids, h * w), txt_ids: zeros(ranked('txt_ids', new Float32Array(words * 3), words).shape) };
}

/** A loaded graph as the family's raw network; `live` inputs are fed besides. */
export function graphNetwork(session: Session, family: Family, live?: LiveInputs): Network {
  return sessionNetwork(session, graphNames(session, family), {
    ...(family.packed && { layout: patches(2) }),
    inputs: (shape: Shape, condition: Conditioning) => (family.packed ? positions(session, shape, condition) : absentImagePrompt(session, shape, condition)),
    ...(live && { live }),
    ...(family.unitTime && { noiseUnit: 1000 }),
  });
}

/** What a raw network is told in place of a condition. */
export interface Told {
  readonly condition: Conditioning;
  readonly noise: number;
}

/** A raw network in the place of a denoiser, so that an ensemble can choose among several by the EDM-like σ. Its answers are the network's own. */
export const asExpert = (network: Network): Denoiser<Told> => ({
  sigmaMin: 0,
  sigmaMax: Infinity,
  alpha: () => 1,
  denoise: (x, sigma, { noise, condition }, call) => network(x, noise, sigma, condition, call),
  dispose: async () => network.dispose?.(),
});

/** Several raw networks as one. Rejects with NonFiniteError, naming the expert, when one answers NaN or ∞. */
export function ensembleNetwork(ensemble: ExpertEnsemble<Told>): Network {
  return async (x, noise, sigma, condition, call) => {
    const answer = await ensemble.denoise(x, sigma, { condition, noise }, call);
    if (isHost(answer) && !(answer.data as Float32Array).every(Number.isFinite)) {
      answer.dispose();
      throw new NonFiniteError(`the answer of '${ensemble.at(sigma).name}'`, sigma, 'try fp32: half precision overflows; or lower the guidance');
    }
    return answer;
  };
}
