/*
 * Serves graphs by the Open Inference Protocol, version 2, with any backend of ours behind it (Node). Standard clients can use it; with `remote` it also
 * adds regions and attention maps to the graphs, which other servers cannot.
 */
import { BackendError, EdiffiError, integer, type Backend, type ModelSource } from '@ediffi/core';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { described, HEADER_LENGTH, instrumentationOf, packed, packedJson, unpacked, type Extension, type Tensors } from './remote/wire.js';
import { Graphs, type Loaded } from './serve/graphs.js';
import { answeredOrigin, bodyOf, isBearer, refuse, Refusal } from './serve/http.js';

/** Options of serve. */
export interface ServeOptions {
  /** Default 8000; 0: any that is free. */
  readonly port?: number;
  /** Default '127.0.0.1': this machine alone. '0.0.0.0' is everybody, who then should need a token. */
  readonly host?: string;
  /** What clients must send as `Authorization: Bearer …`. Default: nothing. */
  readonly token?: string;
  /** Pages that may use it, by their origin ('https://example.org'), or '*' for all. Default: none. */
  readonly origins?: readonly string[];
  /** Take graphs from clients, who can then fill the memory of this machine. Default false. */
  readonly uploads?: boolean;
  /** How many variants of one graph stay loaded: plain, with regions, with maps. Of more, the one unused longest is freed. Default 3. */
  readonly variants?: number;
  /** The largest request. Default 512 MiB. */
  readonly maxBytes?: number;
}

/** A running server. */
export interface Server {
  readonly url: string;
  /** The names of its graphs. */
  readonly models: readonly string[];
  /** Ends the calls that run; the backend stays the caller's. */
  close(): Promise<void>;
}

/**
 * Serves the graphs, each under its `modelName`, loaded when they are first asked for. Rejects with OptionError for two graphs of one name and options that are
 * none, BackendError when it cannot listen there.
 */
export async function serve(backend: Backend, sources: Iterable<ModelSource>, options: ServeOptions = {}): Promise<Server> {
  const { host = '127.0.0.1', token, origins = [], uploads = false } = options;
  const [port, maxBytes] = [integer('port', options.port ?? 8000, 0, 65535), integer('maxBytes', options.maxBytes ?? 2 ** 29, 1, Number.MAX_SAFE_INTEGER)];
  const graphs = new Graphs(backend, sources, integer('variants', options.variants ?? 3, 1, 1000));
  const http = createServer((request, response) => {
    if (answeredOrigin(request, response, origins)) return;
    const work = token === undefined || isBearer(request.headers.authorization, token) ? answer(graphs, request, response, maxBytes, uploads) : Promise.reject(new Refusal(401, 'this server wants Authorization: Bearer and its token'));
    work.catch((error: unknown) => refuse(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    http.once('error', (cause) => reject(new BackendError('serve', `cannot listen on ${host}:${port} — ${cause.message}`, {}, { cause })));
    http.listen(port, host, resolve);
  });
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${(http.address() as AddressInfo).port}`,
    models: graphs.names,
    async close() {
      http.closeAllConnections(); // which aborts the calls
      await new Promise<void>((resolve) => http.close(() => resolve()));
      await graphs.close();
    },
  };
}

async function answer(graphs: Graphs, request: IncomingMessage, response: ServerResponse, maxBytes: number, uploads: boolean): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server');
  const json = (body: object): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const [, v2, kind, ...rest] = pathname.split('/').map(decodeURIComponent);
  const [name = '', ...tail] = kind === 'repository' ? rest.slice(1) : rest;
  const action = (tail[0] === 'versions' ? tail.slice(2) : tail).join('/');
  const instrument = instrumentationOf(searchParams);
  const inRepository = rest[0] === 'models';
  switch (`${request.method} ${[v2, kind].filter(Boolean).join('/')}`) {
    case 'GET v2':
      return json({ name: 'ediffi', version: '2', extensions: ['binary_tensor_data', 'model_repository'] });
    case 'GET v2/health':
      return json({});
    case 'GET v2/models':
      if (action === '') return json(await graphs.use(name, instrument, (loaded) => metadata(name, loaded)));
      if (action === 'ready') return json(await graphs.use(name, instrument, () => ({})));
      break;
    case 'POST v2/models':
      if (action === 'infer') return infer(name, (work) => graphs.use(name, instrument, work), request, response, maxBytes);
      break;
    case 'POST v2/repository':
      if (rest[0] === 'index') return json(graphs.names.map((graph) => ({ name: graph, version: '1', state: graphs.isLoaded(graph) ? 'READY' : 'UNAVAILABLE' })));
      if (inRepository && action === 'load' && !uploads) throw new Refusal(403, 'this server takes no graphs — start it with uploads');
      if (inRepository && action === 'load') return json(await graphs.add(name, graphIn(await bodyOf(request, maxBytes))).then(() => ({})));
      if (inRepository && action === 'unload') return json(await graphs.release(name).then(() => ({})));
  }
  throw new Refusal(404, `${request.method} ${pathname}: no such thing here`);
}

function metadata(name: string, { session: { inputs, outputs, sites }, sha256 }: Loaded): object {
  const ediffi: Extension = { inputs, outputs, sha256, ...(sites && { sites }) };
  return { name, versions: ['1'], platform: 'onnxruntime_onnx', inputs: described(inputs), outputs: described(outputs), parameters: { ediffi } };
}

/** The graph in a request of Triton's model repository extension. */
function graphIn(body: Buffer): Uint8Array {
  const request = JSON.parse(body.toString('utf8')) as { readonly parameters?: Readonly<Record<string, unknown>> } | null;
  const file = Object.entries(request?.parameters ?? {}).find(([key]) => /^file:\d+\/model\.onnx$/.test(key))?.[1];
  if (typeof file !== 'string') throw new Refusal(400, "parameters lack 'file:1/model.onnx', the graph in base64");
  return new Uint8Array(Buffer.from(file, 'base64'));
}

/** What a request may ask for beside its inputs. */
interface Asked {
  readonly id?: unknown;
  readonly outputs?: readonly { readonly name: string; readonly parameters?: { readonly binary_data?: boolean } | null }[] | null; // some clients write null for what they leave out
  readonly parameters?: { readonly binary_data_output?: boolean } | null;
}

const areNamed = (outputs: unknown): boolean => Array.isArray(outputs) && outputs.every((output: { readonly name?: unknown } | null) => typeof output?.name === 'string');

async function infer(name: string, use: (work: (loaded: Loaded) => Promise<Tensors>) => Promise<Tensors>, request: IncomingMessage, response: ServerResponse, maxBytes: number): Promise<void> {
  const header = request.headers[HEADER_LENGTH];
  const { head, tensors } = inputsIn(await bodyOf(request, maxBytes), header === undefined ? undefined : Number(header));
  const { id, outputs: asked, parameters } = head as Asked;
  if (!areNamed(asked ?? [])) throw new Refusal(400, "outputs are no list of { name: '…' }");
  const controller = new AbortController();
  const gone = (): void => controller.abort(new Error('the client is gone'));
  response.once('close', gone);
  const found = await use(async ({ session }) => {
    const outputs = await session.run(tensors, { signal: controller.signal });
    const names = asked?.map((output) => output.name) ?? Object.keys(outputs);
    const unknown = names.filter((output) => !outputs[output]);
    if (unknown.length > 0) throw new Refusal(400, `no output ${unknown.join(', ')} — there are ${Object.keys(outputs).join(', ')}`);
    return Object.fromEntries(await Promise.all(names.map(async (output) => [output, await outputs[output]!.toHost()] as const)));
  }).finally(() => response.off('close', gone));
  const binary = parameters?.binary_data_output ?? asked?.some((output) => output.parameters?.binary_data) ?? false;
  const made = (binary ? packed : packedJson)({ model_name: name, model_version: '1', ...(typeof id === 'string' && { id }) }, 'outputs', found);
  response.writeHead(200, made.header === undefined ? { 'content-type': 'application/json' } : { 'content-type': 'application/octet-stream', [HEADER_LENGTH]: String(made.header) }).end(made.body);
}

/** What does not follow the protocol is the client's mistake. */
function inputsIn(body: Buffer, header: number | undefined): ReturnType<typeof unpacked> {
  try {
    return unpacked(body, header, 'inputs');
  } catch (error) {
    throw EdiffiError.isInstance(error) ? new Refusal(400, error.message) : error;
  }
}
