/*
 * A loaded graph as the raw network F. Feeds the picture, the noise input, the embeddings (zeros for an absent encoder) and, on an
 * instrumented graph, the region maps: S + strength(σ)·stat(S)·A in every cross-attention (eDiff-I §4.3, arXiv 2211.01324).
 */
import type { Session } from '../backend/session.js';
import type { Conditioning } from '../conditioning/conditioning.js';
import { CapabilityError, ModelError, ShapeError } from '../errors/errors.js';
import { columnsFor } from '../regions/feeds.js';
import { cast } from '../tensor/cast.js';
import { float32, floats } from '../tensor/host.js';
import { placed } from '../tensor/rows.js';
import { shapeText, type Shape, type Tensor } from '../tensor/tensor.js';
import type { AttentionRecord, CallOptions } from './denoiser.js';
import type { Layout } from './layout.js';
import type { Network } from './precondition.js';
import { callFeeds, fitted, type FeedOptions, type Feeds, type GraphNames } from './session-feeds.js';

export type { FeedOptions, GraphNames } from './session-feeds.js';

/** What a graph wants besides names. */
export interface NetworkOptions extends FeedOptions {
  /** Inputs that follow from the call itself: what ControlNets answer to the same picture. */
  readonly live?: LiveInputs;
}

/** Makes feeds anew at every call; owned by the network that it is given to. */
export interface LiveInputs {
  residuals(...call: Parameters<Network>): Promise<Readonly<Record<string, Tensor>>>;
  dispose(): Promise<void>;
}

/** The input names of the embedded model's graphs. */
export const embeddedNames: GraphNames = {
  sample: 'sample',
  noise: 'c_noise',
  output: 'output',
  embeddings: { t5: { tokens: 't5' }, clip: { tokens: 'clip', pooled: 'clip_pooled' }, 'clip-image': { pooled: 'clip_image' } },
};

/**
 * Graph → network. Every feed gets the element type its input has, the noise input its rank (a scalar or one number per row); answers are float32.
 * Channels beyond the picture's are a learned variance. Throws ModelError when the graph lacks an input that `names` promises.
 */
export function sessionNetwork(session: Session, names: GraphNames = embeddedNames, options: NetworkOptions = {}): Network {
  const told = callFeeds(session, names, options);
  const network: Network = async (x, noise, sigma, condition, call) => {
    const batch = x.shape[0] ?? 1;
    if (condition.regions && !session.sites?.strength) {
      throw new CapabilityError('regions', `${session.name}: regions were given, but the graph was loaded without region inputs — load it with { instrument: { regions: true } }`);
    }
    const live = await options.live?.residuals(x, noise, sigma, condition, call);
    const feeds: Feeds = await told(x, noise, condition);
    for (const [name, tensor] of Object.entries(live ?? {})) feeds[name] = await fitted(session, name, tensor);
    const strength = session.sites?.strength;
    if (strength !== undefined) feeds[strength] = strengthRows(condition, sigma, batch);
    const outputs = await session.run(feeds, call?.signal ? { signal: call.signal } : {}).finally(() => Object.values(live ?? {}).forEach((tensor) => tensor.dispose()));
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
    const answer = await answered(session, output, x, options.layout, call?.variance);
    const here = await placed(answer, x.device); // where the picture is, whoever computed it
    if (here !== answer) answer.dispose();
    return here;
  };
  return Object.assign(network, { dispose: async () => void (await Promise.all([session.dispose(), options.live?.dispose()])) });
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
