/*
 * A loaded graph as the raw network F. Feeds the picture, the noise input, the embeddings (zeros for an absent encoder) and, on an
 * instrumented graph, the region maps: S + strength(σ)·stat(S)·A in every cross-attention (eDiff-I §4.3, arXiv 2211.01324).
 */
import type { Session } from '../backend/session.js';
import type { Conditioning } from '../conditioning/conditioning.js';
import { repeatRows, rowsOf } from '../conditioning/join.js';
import { CapabilityError, ModelError, ShapeError } from '../errors/errors.js';
import { columnsFor, regionFeeds } from '../regions/feeds.js';
import { cast } from '../tensor/cast.js';
import { float32, floats, zeros } from '../tensor/host.js';
import { shapeText, type Shape, type Tensor } from '../tensor/tensor.js';
import type { AttentionRecord, CallOptions } from './denoiser.js';
import type { Layout } from './layout.js';
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

/** What a graph wants besides names. */
export interface NetworkOptions {
  /** Pictures as tokens; default: as they are. */
  readonly layout?: Layout;
  /** Inputs that follow from the picture's shape `[B, C, H, W]` and the conditioning, such as positions. */
  readonly inputs?: (shape: Shape, condition: Conditioning) => Readonly<Record<string, Tensor>>;
  /** Divides the noise input: 1000 for graphs that take 0…1 where schedules count to 1000. */
  readonly noiseUnit?: number;
}

/**
 * Graph → network. Every feed gets the element type its input has, the noise input its rank (a scalar or one number per row); answers are float32.
 * Channels beyond the picture's are a learned variance. Throws ModelError when the graph lacks an input that `names` promises.
 */
export function sessionNetwork(session: Session, names: GraphNames = embeddedNames, options: NetworkOptions = {}): Network {
  const wanted = [names.sample, names.noise, ...Object.values(names.embeddings).flatMap((e) => [e.tokens, e.pooled])];
  const missing = wanted.filter((name) => name !== undefined && !session.inputs.some((input) => input.name === name));
  if (missing.length) throw new ModelError(`${session.name}: the graph has no input ${missing.join(', ')} — it has ${session.inputs.map((i) => i.name).join(', ')}`, session.name);
  const prepared = new WeakMap<Conditioning, Map<string, Promise<Feeds>>>();

  const conditionFeeds = (condition: Conditioning, shape: Shape): Promise<Feeds> => {
    const known = prepared.get(condition) ?? new Map<string, Promise<Feeds>>();
    prepared.set(condition, known);
    const key = shape.join('x');
    const made = known.get(key) ?? buildFeeds(session, names, condition, shape, options);
    known.set(key, made);
    return made;
  };

  const network: Network = async (x, noise, sigma, condition, call) => {
    const batch = x.shape[0] ?? 1;
    if (condition.regions && !session.sites?.strength) {
      throw new CapabilityError('regions', `${session.name}: regions were given, but the graph was loaded without region inputs — load it with { instrument: { regions: true } }`);
    }
    const fixed = await conditionFeeds(condition, x.shape);
    const told = noise / (options.noiseUnit ?? 1);
    const times = inputOf(session, names.noise)?.shape.length === 0 ? float32([told], []) : float32(new Float32Array(batch).fill(told), [batch]);
    const whole = condition.channels ? await beside(x, await repeatRows(condition.channels, batch)) : x;
    const laid = options.layout ? await options.layout.pack(whole) : whole;
    const feeds: Feeds = { ...fixed, [names.sample]: await fitted(session, names.sample, laid), [names.noise]: await fitted(session, names.noise, times) };
    const strength = session.sites?.strength;
    if (strength !== undefined) feeds[strength] = strengthRows(condition, sigma, batch);
    const outputs = await session.run(feeds, call?.signal ? { signal: call.signal } : {});
    const output = outputs[names.output];
    const shape = options.layout ? options.layout.grid(x.shape) : x.shape;
    const rest = Object.values(outputs).filter((tensor) => tensor !== output);
    try {
      if (call?.attention) call.attention(recordOf(session, names, outputs, sigma, shape, condition)); // the maps are the listener's from here on
      else rest.forEach((tensor) => tensor.dispose());
    } catch (error) {
      for (const tensor of Object.values(outputs)) tensor.dispose();
      throw error;
    }
    if (!output) throw new ModelError(`${session.name}: the graph has no output '${names.output}' — it has ${session.outputs.map((o) => o.name).join(', ')}`, session.name);
    return answered(session, output, x, options.layout, call?.variance);
  };
  return Object.assign(network, { dispose: () => session.dispose() });
}

const inputOf = (session: Session, name: string): Session['inputs'][number] | undefined => session.inputs.find((input) => input.name === name);

/** A feed in its input's element type. */
const fitted = (session: Session, name: string, tensor: Tensor): Promise<Tensor> => cast(tensor, inputOf(session, name)?.dtype ?? tensor.dtype);

/** Channels of `a` followed by those of `b`, `[B, C, H, W]` and `[B, C′, H, W]`. */
async function beside(a: Tensor, b: Tensor): Promise<Tensor> {
  const [batch = 1, own = 1, ...size] = a.shape;
  const [, more = 1, ...other] = b.shape;
  if (other.join() !== size.join()) throw new ShapeError('further channels', shapeText([batch, more, ...size]), shapeText(b.shape));
  const area = size.reduce((product, n) => product * n, 1);
  const [first, second] = [await floats(a), await floats(b)];
  const out = new Float32Array(first.length + second.length);
  for (let row = 0; row < batch; row++) {
    out.set(first.subarray(row * own * area, (row + 1) * own * area), row * (own + more) * area);
    out.set(second.subarray(row * more * area, (row + 1) * more * area), (row * (own + more) + own) * area);
  }
  return a.device.fromHost(float32(out, [batch, own + more, ...size]));
}

/** The answer as float32 in the picture's shape; channels beyond it are handed to `variance`. */
async function answered(session: Session, output: Tensor, x: Tensor, layout: Layout | undefined, variance: CallOptions['variance']): Promise<Tensor> {
  const plain = await cast(output, 'float32');
  if (plain !== output) output.dispose();
  if (layout) return layout.unpack(plain, x.shape).finally(() => plain.dispose());
  const [batch = 1, channels = 1, ...size] = x.shape;
  const given = plain.shape[1] ?? channels;
  if (given === channels) return plain;
  if (given !== 2 * channels) throw new ShapeError(`${session.name} output`, `${channels} channels, or twice as many with a learned variance`, shapeText(plain.shape));
  const data = await floats(plain);
  plain.dispose();
  const block = data.length / batch / 2;
  const half = (which: number): Tensor => float32(Float32Array.from({ length: data.length / 2 }, (_, i) => data[Math.floor(i / block) * 2 * block + which * block + (i % block)]!), [batch, channels, ...size]);
  variance?.(half(1));
  return x.device.fromHost(half(0) as ReturnType<typeof float32>);
}

function strengthRows(condition: Conditioning, sigma: number, batch: number): Tensor {
  const painted = condition.painted ?? [true];
  const strength = condition.regions?.strength(sigma) ?? 0;
  const rows = Float32Array.from({ length: batch }, (_, r) => (painted[Math.floor((r * painted.length) / batch)] ? strength : 0));
  return float32(rows, [batch, 1, 1, 1]);
}

async function buildFeeds(session: Session, names: GraphNames, condition: Conditioning, shape: Shape, options: NetworkOptions): Promise<Feeds> {
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
  for (const [name, tensor] of Object.entries(condition.inputs ?? {})) if (inputOf(session, name)) feeds[name] = await repeatRows(tensor, batch);
  for (const [name, tensor] of Object.entries(options.inputs?.(shape, condition) ?? {})) if (inputOf(session, name)) feeds[name] = tensor;
  if (session.sites?.strength) Object.assign(feeds, await regionFeeds(session, condition, options.layout?.grid(shape) ?? shape, names));
  for (const name of Object.keys(feeds)) feeds[name] = await fitted(session, name, feeds[name]!);
  return feeds;
}

/** One embedding as the graph wants it: zeros when absent, a ShapeError when it comes from another encoder. */
async function row(session: Session, name: string, tensor: Tensor | undefined, batch: number, encoder: string): Promise<Tensor> {
  const info = inputOf(session, name);
  const rest = (info?.shape ?? []).slice(1).map((n, i) => (typeof n === 'number' ? n : (tensor?.shape[i + 1] ?? 1)));
  if (!tensor) return zeros([batch, ...rest]);
  if (tensor.shape.length !== rest.length + 1 || tensor.shape.slice(1).some((n, i) => n !== rest[i])) {
    throw new ShapeError(`${session.name} input '${name}'`, shapeText([batch, ...rest]), shapeText(tensor.shape), `encode with the ${encoder} encoder that the model was trained with`);
  }
  return repeatRows(tensor, batch);
}

function recordOf(session: Session, names: GraphNames, outputs: Record<string, Tensor>, sigma: number, shape: Shape, condition: Conditioning): AttentionRecord {
  const [, , height = 1, width = 1] = shape;
  const maps = (session.sites?.strides ?? []).flatMap(({ stride, layers, map }) => {
    const weights = map === undefined ? undefined : outputs[map];
    return weights ? [{ stride, layers, height: Math.ceil(height / stride), width: Math.ceil(width / stride), weights }] : [];
  });
  if (!maps.length) throw new CapabilityError('attention maps', `${session.name} gives no attention maps — load it with { instrument: { maps: true } }`);
  const encoderOf = (input: string): string | undefined => Object.entries(names.embeddings).find(([, e]) => e.tokens === input || e.pooled === input)?.[0];
  const runs = columnsFor(session.sites?.columns ?? [], condition, names).flatMap(({ input, offset, length }) => {
    const encoder = encoderOf(input);
    const embedding = encoder === undefined ? undefined : condition.embeddings[encoder];
    const segments = embedding?.segments ?? [{ encoder, start: 0, length }];
    return segments.map((segment) => ({ input, embedding, encoder: segment.encoder, start: segment.start, offset: offset + segment.start, length: segment.length }));
  });
  const columns = runs.map(({ input, encoder, offset, length }) => ({ input, ...(encoder !== undefined && { encoder }), offset, length }));
  const spans = runs.flatMap(({ embedding, encoder = '', start, offset, length }) =>
    (embedding?.spans[0] ?? []).filter(({ column }) => column >= start && column < start + length).map((span) => ({ ...span, column: offset + span.column - start, encoder })));
  return { sigma, maps, columns, spans };
}
