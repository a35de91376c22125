/*
 * Serves graphs by the Open Inference Protocol, version 2, with any backend of ours behind it (Node). Standard clients can use it; with `remote` it also
 * adds regions and attention maps to the graphs, which other servers cannot.
 */
import { BackendError, EdiffiError, integer, ModelError, OptionError, type Backend, type GraphSites, type Instrumentation, type ModelSource, type Session } from '@ediffi/core';
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { modelName } from './remote.js';
import { failureOf, statusOf } from './remote/failure.js';
import { described, HEADER_LENGTH, instrumentationOf, packed, packedJson, queryOf, unpacked, type Extension, type Tensors } from './remote/wire.js';

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

/** An answer with a status of its own. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

interface Loaded {
  readonly session: Session;
  readonly sha256: string;
}

/**
 * Serves the graphs, each under its `modelName`, loaded when they are first asked for. Rejects with OptionError for two graphs of one name and options that are
 * none, BackendError when it cannot listen there.
 */
export async function serve(backend: Backend, graphs: Iterable<ModelSource>, options: ServeOptions = {}): Promise<Server> {
  const { host = '127.0.0.1', token, origins = [], uploads = false } = options;
  const [port, maxBytes] = [integer('port', options.port ?? 8000, 0, 65535), integer('maxBytes', options.maxBytes ?? 2 ** 29, 1, Number.MAX_SAFE_INTEGER)];
  const sources = new Map<string, ModelSource>();
  for (const graph of graphs) {
    const name = modelName(graph);
    if (sources.has(name)) throw new OptionError('graphs', `two of the name ${name}`, 'names of their own');
    sources.set(name, graph);
  }
  const loaded = new Map<string, Promise<Loaded>>();
  const running = new Set<AbortController>();
  const closing = new AbortController();

  const load = (name: string, instrument: Instrumentation): Promise<Loaded> => {
    const source = sources.get(name);
    if (!source) throw new Refusal(404, `no model '${name}' — there are ${[...sources.keys()].join(', ') || 'none'}`);
    const key = name + queryOf(instrument);
    const known = loaded.get(key);
    if (known) return known;
    const made = Promise.all([backend.load(source, queryOf(instrument) ? { instrument, signal: closing.signal } : { signal: closing.signal }), hashOf(source)]).then(([session, sha256]) => ({ session, sha256 }));
    loaded.set(key, made);
    made.catch(() => loaded.delete(key));
    return made;
  };

  const metadata = async (name: string, query: URLSearchParams): Promise<object> => {
    const { session, sha256 } = await load(name, instrumentationOf(query));
    const { inputs, outputs, sites } = session;
    const ediffi: Extension = { inputs, outputs, sha256, ...(sites && { sites: sites as GraphSites }) };
    return { name, versions: ['1'], platform: 'onnxruntime_onnx', inputs: described(inputs), outputs: described(outputs), parameters: { ediffi } };
  };

  const infer = async (name: string, query: URLSearchParams, request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const given = request.headers[HEADER_LENGTH];
    const { head, tensors } = unpackedRequest(await bodyOf(request, maxBytes), given === undefined ? undefined : Number(given));
    const { session } = await load(name, instrumentationOf(query));
    const controller = new AbortController();
    const gone = (): void => controller.abort(new Error('the client is gone'));
    response.once('close', gone);
    running.add(controller);
    try {
      const outputs = await session.run(tensors, { signal: controller.signal });
      const asked = Array.isArray(head['outputs']) ? (head['outputs'] as { name: string; parameters?: { binary_data?: boolean } }[]) : undefined;
      const names = asked?.map((output) => output.name) ?? Object.keys(outputs);
      const unknown = names.filter((output) => !outputs[output]);
      if (unknown.length > 0) throw new Refusal(400, `no output ${unknown.join(', ')} — there are ${Object.keys(outputs).join(', ')}`);
      const host = Object.fromEntries(await Promise.all(names.map(async (output) => [output, await outputs[output]!.toHost()] as const)));
      const binary = (head['parameters'] as { binary_data_output?: boolean } | undefined)?.binary_data_output ?? asked?.some((output) => output.parameters?.binary_data) ?? false;
      const answer = (binary ? packed : packedJson)({ model_name: name, model_version: '1', ...(typeof head['id'] === 'string' && { id: head['id'] }) }, 'outputs', host as Tensors);
      response.writeHead(200, { 'content-type': answer.header === undefined ? 'application/json' : 'application/octet-stream', ...(answer.header !== undefined && { [HEADER_LENGTH]: String(answer.header) }) }).end(answer.body);
    } finally {
      response.off('close', gone);
      running.delete(controller);
    }
  };

  const keep = async (name: string, request: IncomingMessage): Promise<void> => {
    if (!uploads) throw new Refusal(403, 'this server takes no graphs — start it with uploads');
    if (sources.has(name)) throw new Refusal(409, `there is a model '${name}' already`);
    const { parameters } = JSON.parse((await bodyOf(request, maxBytes)).toString('utf8')) as { parameters?: Readonly<Record<string, unknown>> };
    const file = Object.entries(parameters ?? {}).find(([key]) => /^file:\d+\/model\.onnx$/.test(key))?.[1];
    if (typeof file !== 'string') throw new Refusal(400, "parameters lack 'file:1/model.onnx', the graph in base64");
    const bytes = new Uint8Array(Buffer.from(file, 'base64'));
    sources.set(name, { name, bytes: async () => bytes });
    await load(name, {}).catch((error: unknown) => {
      sources.delete(name); // nothing is kept of what cannot be opened
      throw error;
    });
  };

  const drop = async (name: string): Promise<void> => {
    for (const [key, made] of loaded) if (key === name || key.startsWith(`${name}?`)) {
      loaded.delete(key);
      await (await made).session.dispose();
    }
  };

  const answered = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server');
    const json = (body: object): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const [, v2, kind, ...rest] = pathname.split('/').map(decodeURIComponent);
    const route = `${request.method} ${[v2, kind].filter(Boolean).join('/')}`;
    if (route === 'GET v2') return json({ name: 'ediffi', version: '2', extensions: ['binary_tensor_data', 'model_repository'] });
    if (route === 'GET v2/health') return json({});
    const [name = '', ...tail] = kind === 'repository' ? rest.slice(1) : rest;
    const action = tail[0] === 'versions' ? tail.slice(2).join('/') : tail.join('/');
    if (route === 'GET v2/models' && action === '') return json(await metadata(name, searchParams));
    if (route === 'GET v2/models' && action === 'ready') return json(await load(name, instrumentationOf(searchParams)).then(() => ({})));
    if (route === 'POST v2/models' && action === 'infer') return infer(name, searchParams, request, response);
    if (route === 'POST v2/repository' && rest[0] === 'index') return json([...sources.keys()].map((model) => ({ name: model, version: '1', state: loaded.has(model) ? 'READY' : 'UNAVAILABLE' })));
    if (route === 'POST v2/repository' && rest[0] === 'models' && action === 'load') return json(await keep(name, request).then(() => ({})));
    if (route === 'POST v2/repository' && rest[0] === 'models' && action === 'unload') return json(await drop(name).then(() => ({})));
    throw new Refusal(404, `${request.method} ${pathname}: no such thing here`);
  };

  const http = createServer((request, response) => {
    const origin = request.headers.origin;
    if (origin !== undefined && (origins.includes('*') || origins.includes(origin))) {
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('vary', 'origin');
      response.setHeader('access-control-expose-headers', HEADER_LENGTH);
    }
    if (request.method === 'OPTIONS') return void response.writeHead(204, { 'access-control-allow-methods': 'GET, POST', 'access-control-allow-headers': `content-type, authorization, ${HEADER_LENGTH}`, 'access-control-max-age': '600' }).end();
    if (token !== undefined && !isToken(request.headers.authorization, token)) return void refuse(response, new Refusal(401, 'this server wants Authorization: Bearer and its token'));
    answered(request, response).catch((error: unknown) => refuse(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    http.once('error', (cause) => reject(new BackendError('serve', `cannot listen on ${host}:${port} — ${cause.message}`, {}, { cause })));
    http.listen(port, host, resolve);
  });
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${(http.address() as AddressInfo).port}`,
    models: [...sources.keys()],
    async close() {
      closing.abort(new Error('the server was closed'));
      for (const controller of running) controller.abort(closing.signal.reason);
      http.closeAllConnections();
      await new Promise<void>((resolve) => http.close(() => resolve()));
      for (const made of [...loaded.values()]) await made.then(({ session }) => session.dispose()).catch(() => undefined);
    },
  };
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  const status = error instanceof Refusal ? error.status : error instanceof SyntaxError || error instanceof URIError ? 400 : statusOf(error);
  if (!response.headersSent) response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(failureOf(error)));
}

/** What does not follow the protocol is the client's mistake. */
function unpackedRequest(body: Buffer, header: number | undefined): ReturnType<typeof unpacked> {
  try {
    return unpacked(body, header, 'inputs');
  } catch (error) {
    throw EdiffiError.isInstance(error) ? new Refusal(400, error.message) : error;
  }
}

async function bodyOf(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBytes) throw new Refusal(413, `the request is larger than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** In constant time, whatever the lengths. */
function isToken(header: string | undefined, token: string): boolean {
  const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`));
}

async function hashOf(source: ModelSource): Promise<string> {
  if (source.sha256 !== undefined) return source.sha256; // the backend checks it
  try {
    return createHash('sha256').update(await source.bytes()).digest('hex');
  } catch (cause) {
    throw new ModelError(`${source.name}: cannot be read`, source.name, { cause });
  }
}
