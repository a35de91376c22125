/*
 * A loaded graph as the raw network F. Feeds the picture, the noise input, the embeddings (zeros for an absent encoder) and, on an
 * instrumented graph, the region maps: S + strength(σ)·stat(S)·A in every cross-attention (eDiff-I §4.3, arXiv 2211.01324).
 */
import type { Session } from '../backend/session.js';
import type { Conditioning } from '../conditioning/conditioning.js';
import { repeatRows, rowsOf } from '../conditioning/join.js';
import { CapabilityError, ModelError, ShapeError } from '../errors/errors.js';
import { regionFeeds } from '../regions/feeds.js';
import { float32, zeros } from '../tensor/host.js';
import { shapeText, type Shape, type Tensor } from '../tensor/tensor.js';
import type { AttentionRecord } from './denoiser.js';
import type { Network } from './precondition.js';

/** Which graph input takes what. */
export interface GraphNames {
  readonly sample: string;
  readonly noise: string;
  readonly output: string;
  /** By encoder: the inputs for its tokens and pooled vector. */
  readonly embeddings: Readonly<Record<string, { readonly tokens?: string; readonly pooled?: string }>>;
}

/** The input names of the embedded model's graphs. */
export const embeddedNames: GraphNames = {
  sample: 'sample',
  noise: 'c_noise',
  output: 'output',
  embeddings: { t5: { tokens: 't5' }, clip: { tokens: 'clip', pooled: 'clip_pooled' }, 'clip-image': { pooled: 'clip_image' } },
};

type Feeds = Record<string, Tensor>;

/** Graph → network. Throws ModelError when the graph lacks an input that `names` promises. */
export function sessionNetwork(session: Session, names: GraphNames = embeddedNames): Network {
  const wanted = [names.sample, names.noise, ...Object.values(names.embeddings).flatMap((e) => [e.tokens, e.pooled])];
  const missing = wanted.filter((name) => name !== undefined && !session.inputs.some((input) => input.name === name));
  if (missing.length) throw new ModelError(`${session.name}: the graph has no input ${missing.join(', ')} — it has ${session.inputs.map((i) => i.name).join(', ')}`, session.name);
  const prepared = new WeakMap<Conditioning, Map<string, Promise<Feeds>>>();

  const conditionFeeds = (condition: Conditioning, shape: Shape): Promise<Feeds> => {
    const known = prepared.get(condition) ?? new Map<string, Promise<Feeds>>();
    prepared.set(condition, known);
    const key = shape.join('x');
    const made = known.get(key) ?? buildFeeds(session, names, condition, shape);
    known.set(key, made);
    return made;
  };

  const network: Network = async (x, noise, sigma, condition, call) => {
    const batch = x.shape[0] ?? 1;
    if (condition.regions && !session.sites?.strength) {
      throw new CapabilityError('regions', `${session.name}: regions were given, but the graph was loaded without region inputs — load it with { instrument: { regions: true } }`);
    }
    const fixed = await conditionFeeds(condition, x.shape);
    const feeds: Feeds = { ...fixed, [names.sample]: x, [names.noise]: float32(new Float32Array(batch).fill(noise), [batch]) };
    const strength = session.sites?.strength;
    if (strength !== undefined) feeds[strength] = strengthRows(condition, sigma, batch);
    const outputs = await session.run(feeds, call?.signal ? { signal: call.signal } : {});
    const output = outputs[names.output];
    const rest = Object.values(outputs).filter((tensor) => tensor !== output);
    try {
      if (call?.attention) call.attention(recordOf(session, names, outputs, sigma, x.shape)); // the maps are the listener's from here on
      else rest.forEach((tensor) => tensor.dispose());
    } catch (error) {
      for (const tensor of Object.values(outputs)) tensor.dispose();
      throw error;
    }
    if (!output) throw new ModelError(`${session.name}: the graph has no output '${names.output}'`, session.name);
    return output;
  };
  return Object.assign(network, { dispose: () => session.dispose() });
}

function strengthRows(condition: Conditioning, sigma: number, batch: number): Tensor {
  const painted = condition.painted ?? [true];
  const strength = condition.regions?.strength(sigma) ?? 0;
  const rows = Float32Array.from({ length: batch }, (_, r) => (painted[Math.floor((r * painted.length) / batch)] ? strength : 0));
  return float32(rows, [batch, 1, 1, 1]);
}

async function buildFeeds(session: Session, names: GraphNames, condition: Conditioning, shape: Shape): Promise<Feeds> {
  const batch = shape[0] ?? 1;
  if (batch % rowsOf(condition) !== 0) throw new ShapeError('conditioning', `rows that divide the batch of ${batch}`, `${rowsOf(condition)}`);
  const unknown = Object.keys(condition.embeddings).filter((name) => !(name in names.embeddings));
  if (unknown.length) throw new CapabilityError('encoders', `${session.name}: takes ${Object.keys(names.embeddings).join(', ')}, was given ${unknown.join(', ')}`);
  const feeds: Feeds = {};
  for (const [encoder, inputs] of Object.entries(names.embeddings)) {
    const embedding = condition.embeddings[encoder];
    if (inputs.tokens) feeds[inputs.tokens] = await row(session, inputs.tokens, embedding?.tokens, batch, encoder);
    if (inputs.pooled) feeds[inputs.pooled] = await row(session, inputs.pooled, embedding?.pooled, batch, encoder);
  }
  for (const [name, tensor] of Object.entries(condition.inputs ?? {})) {
    if (session.inputs.some((input) => input.name === name)) feeds[name] = await repeatRows(tensor, batch);
  }
  if (session.sites?.strength) Object.assign(feeds, await regionFeeds(session, condition, shape, names));
  return feeds;
}

/** One embedding as the graph wants it: zeros when absent, a ShapeError when it comes from another encoder. */
async function row(session: Session, name: string, tensor: Tensor | undefined, batch: number, encoder: string): Promise<Tensor> {
  const info = session.inputs.find((input) => input.name === name);
  const rest = (info?.shape ?? []).slice(1).map((n, i) => (typeof n === 'number' ? n : (tensor?.shape[i + 1] ?? 1)));
  if (!tensor) return zeros([batch, ...rest]);
  if (tensor.shape.length !== rest.length + 1 || tensor.shape.slice(1).some((n, i) => n !== rest[i])) {
    throw new ShapeError(`${session.name} input '${name}'`, shapeText([batch, ...rest]), shapeText(tensor.shape), `encode with the ${encoder} encoder that the model was trained with`);
  }
  return repeatRows(tensor, batch);
}

function recordOf(session: Session, names: GraphNames, outputs: Record<string, Tensor>, sigma: number, shape: Shape): AttentionRecord {
  const [, , height = 1, width = 1] = shape;
  const maps = (session.sites?.strides ?? []).flatMap(({ stride, layers, map }) => {
    const weights = map === undefined ? undefined : outputs[map];
    return weights ? [{ stride, layers, height: Math.ceil(height / stride), width: Math.ceil(width / stride), weights }] : [];
  });
  if (!maps.length) throw new CapabilityError('attention maps', `${session.name} gives no attention maps — load it with { instrument: { maps: true } }`);
  const encoderOf = (input: string): string | undefined => Object.entries(names.embeddings).find(([, e]) => e.tokens === input || e.pooled === input)?.[0];
  const columns = (session.sites?.columns ?? []).map((column) => {
    const encoder = encoderOf(column.input);
    return { ...column, ...(encoder !== undefined && { encoder }) };
  });
  return { sigma, maps, columns };
}
