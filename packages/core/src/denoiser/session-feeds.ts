/*
 * What a graph is fed at each call: the picture, the noise input, the embeddings (zeros for an absent encoder), further inputs, and on an
 * instrumented graph the region maps. What follows from the conditioning alone is made once per conditioning and size.
 */
import type { Session } from '../backend/session.js';
import type { Conditioning } from '../conditioning/conditioning.js';
import { repeatRows, rowsOf } from '../conditioning/join.js';
import { CapabilityError, ModelError, ShapeError } from '../errors/errors.js';
import { regionFeeds } from '../regions/feeds.js';
import { cast } from '../tensor/cast.js';
import { float32, floats, zeros } from '../tensor/host.js';
import { placed } from '../tensor/rows.js';
import { shapeText, type Shape, type Tensor } from '../tensor/tensor.js';
import type { Layout } from './layout.js';

/** Which graph input takes what. */
export interface GraphNames {
  readonly sample: string;
  readonly noise: string;
  readonly output: string;
  /** By encoder: the inputs for its tokens and pooled vector. */
  readonly embeddings: Readonly<Record<string, { readonly tokens?: string; readonly pooled?: string }>>;
}

/** Tensors by the name of their input. */
export type Feeds = Record<string, Tensor>;

/** What a graph wants besides names. */
export interface FeedOptions {
  /** Pictures as tokens; default: as they are. */
  readonly layout?: Layout;
  /** Inputs that follow from the picture's shape `[B, C, H, W]` and the conditioning, such as positions. */
  readonly inputs?: (shape: Shape, condition: Conditioning) => Readonly<Record<string, Tensor>>;
  /** Divides the noise input: 1000 for graphs that take 0…1 where schedules count to 1000. */
  readonly noiseUnit?: number;
}

/**
 * The feeds of one call for x `[B, C, H, W]`: each in the element type its input has, the noise input in its rank (a scalar, one number, or one per row).
 * Throws ModelError at once when the graph lacks an input that `names` promises.
 */
export function callFeeds(session: Session, names: GraphNames, options: FeedOptions = {}): (x: Tensor, noise: number, condition: Conditioning) => Promise<Feeds> {
  const wanted = [names.sample, names.noise, ...Object.values(names.embeddings).flatMap((e) => [e.tokens, e.pooled])];
  const missing = wanted.filter((name) => name !== undefined && !inputOf(session, name));
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
  return async (x, noise, condition) => {
    const batch = x.shape[0] ?? 1;
    const fixed = await conditionFeeds(condition, x.shape);
    const whole = condition.channels ? await beside(x, await repeatRows(condition.channels, batch)) : x;
    const laid = options.layout ? await options.layout.pack(whole) : whole;
    const times = timesOf(session, names.noise, noise / (options.noiseUnit ?? 1), batch);
    return { ...fixed, [names.sample]: await fitted(session, names.sample, laid), [names.noise]: await fitted(session, names.noise, times) };
  };
}

function timesOf(session: Session, name: string, noise: number, batch: number): Tensor {
  const shape = inputOf(session, name)?.shape ?? [null];
  if (shape.length === 0) return float32([noise], []);
  return float32(new Float32Array(shape[0] === 1 ? 1 : batch).fill(noise), [shape[0] === 1 ? 1 : batch]);
}

/** What the graph says of an input. */
export const inputOf = (session: Session, name: string): Session['inputs'][number] | undefined => session.inputs.find((input) => input.name === name);

/** A feed in its input's element type. */
export const fitted = (session: Session, name: string, tensor: Tensor): Promise<Tensor> => cast(tensor, inputOf(session, name)?.dtype ?? tensor.dtype);

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

async function buildFeeds(session: Session, names: GraphNames, condition: Conditioning, shape: Shape, options: FeedOptions): Promise<Feeds> {
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
  for (const [name, tensor] of Object.entries(condition.constants ?? {})) if (inputOf(session, name)) feeds[name] = tensor;
  for (const [name, tensor] of Object.entries(options.inputs?.(shape, condition) ?? {})) if (inputOf(session, name)) feeds[name] = tensor;
  if (session.sites?.strength) Object.assign(feeds, await regionFeeds(session, condition, options.layout?.grid(shape) ?? shape, names));
  for (const name of Object.keys(feeds)) {
    const feed = await fitted(session, name, feeds[name]!);
    feeds[name] = session.device ? await placed(feed, session.device) : feed; // crosses over once, not at every step
  }
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
