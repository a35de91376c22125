/*
 * Graphs on a server, by the Open Inference Protocol, version 2 (KServe, Triton, MLServer; `ediffi serve`): the same code, another machine.
 * Each call is one request and keeps nothing on the server, so that replicas share the work and a call may be tried again.
 */
import { BackendError, cpu, DisposedError, integer, OptionError, type Abort, type Backend, type Instrumentation, type MaybePromise, type ModelSource, type Session, type Tensor } from '@ediffi/core';
import { checkFeeds, describeFeeds } from './ort/feeds.js';
import { Connection, type Answer } from './remote/connection.js';
import { named, refusal, uploaded, type Graph } from './remote/graph.js';
import { HEADER_LENGTH, packed, packedJson, unpacked, type Packed, type Tensors } from './remote/wire.js';

/** Options of remote. */
export interface RemoteOptions {
  /** What a graph is called on the server. Default: `modelName`. */
  readonly model?: (source: ModelSource, instrument?: Instrumentation) => string;
  /** Sent with every request, such as `{ authorization: 'Bearer …' }`; a function is asked each time. */
  readonly headers?: Readonly<Record<string, string>> | (() => MaybePromise<Readonly<Record<string, string>>>);
  /** Send graphs to the server instead of naming those it has (Triton's model repository extension, `ediffi serve --uploads`): for LoRAs, and graphs of your own. Default false. */
  readonly uploads?: boolean;
  /** How often a request is tried again when there is no answer, or the server is too busy to begin. Default 2. */
  readonly retries?: number;
  /** Node's own gives up after five minutes without an answer: for slower calls, one with another `dispatcher`. */
  readonly fetch?: typeof fetch;
}

/** `unet/model.onnx` → `unet`, `base-high.onnx` → `base-high`, `text/two.onnx` → `text-two`. */
export const modelName = ({ name }: Pick<ModelSource, 'name'>): string => name.replace(/\.onnx$/, '').replace(/\/model$/, '').replaceAll(/[^\w.-]+/g, '-');

/**
 * A backend on a server of the Open Inference Protocol at `url`; answers are on the host. `load` rejects with ModelError for a graph the server has
 * not or has in another version, CapabilityError for one it has not as it is wanted (edited, or with regions on a server that adds none), BackendError when
 * there is no answer, the signal's reason on abort. Throws OptionError for a URL that is none.
 */
export function remote(url: string | URL, { model: nameOf = modelName, headers = {}, uploads = false, retries = 2, fetch: ask = (...call) => fetch(...call) }: RemoteOptions = {}): Backend {
  const connection = new Connection(baseOf(url), { headers, retries: integer('retries', retries, 0, 20), fetch: ask });
  const sending = { binary: true };
  let disposed = false;
  return {
    name: 'remote',
    device: cpu,
    async load(source, load = {}) {
      if (disposed) throw new DisposedError('the remote backend');
      load.signal?.throwIfAborted();
      const graph = uploads ? await uploaded(connection, source, nameOf(source), load) : await named(connection, source, nameOf(source, load.instrument), load);
      return sessionOf(connection, source.name, graph, sending, () => disposed);
    },
    dispose: async () => void (disposed = true),
  };
}

function baseOf(url: string | URL): string {
  const parsed = URL.canParse(String(url)) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol)) throw new OptionError('server', String(url), 'a URL such as http://localhost:8000');
  return parsed.href.replace(/\/$/, '');
}

function sessionOf(connection: Connection, name: string, { path, query, inputs, outputs, binary, sites, changed }: Graph, sending: { binary: boolean }, closed: () => boolean): Session {
  let ended = false;
  const infer = `${path}/infer${query}`;
  const post = ({ body, header }: Packed, signal: Abort | undefined): Promise<Answer> =>
    connection.ask(infer, { method: 'POST', body, signal, headers: header === undefined ? { 'content-type': 'application/json' } : { 'content-type': 'application/octet-stream', [HEADER_LENGTH]: String(header) } });
  const wanted = outputs.map((info) => ({ name: info.name, parameters: { binary_data: true } }));
  /** Binary first; a server that refuses that gets JSON, and from then on only JSON. */
  const call = async (tensors: Tensors, signal: Abort | undefined): Promise<Answer> => {
    if (!binary && !sending.binary) return post(packedJson({}, 'inputs', tensors), signal);
    const answer = await post(packed({ parameters: { binary_data_output: true }, outputs: wanted }, 'inputs', tensors), signal);
    if (binary || answer.status < 400) return answer;
    const again = await post(packedJson({}, 'inputs', tensors), signal);
    if (again.status < 400) sending.binary = false;
    return again;
  };
  return {
    name,
    inputs,
    outputs,
    ...(sites && { sites }),
    async run(feeds, { signal } = {}) {
      if (ended || closed()) throw new DisposedError(name);
      signal?.throwIfAborted();
      checkFeeds('remote', name, inputs, feeds, changed);
      const tensors = Object.fromEntries(await Promise.all(Object.entries(feeds).map(async ([key, tensor]) => [key, await tensor.toHost()] as const)));
      const answer = await call(tensors, signal);
      if (answer.status !== 200) throw refusal(answer, name, infer);
      const header = answer.headers.get(HEADER_LENGTH);
      const found = unpacked(answer.body, header === null ? undefined : Number(header), 'outputs').tensors;
      const missing = outputs.filter((info) => !found[info.name]);
      if (missing.length > 0) throw new BackendError('remote', `${name}: the answer lacks ${missing.map((info) => info.name).join(', ')}`, describeFeeds(feeds));
      return { ...found } as Record<string, Tensor>;
    },
    dispose: async () => void (ended = true),
  };
}
