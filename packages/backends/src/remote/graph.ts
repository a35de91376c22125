/* Finds a graph on a server, or sends it there. */
import { BackendError, CapabilityError, ModelError, sha256, type Abort, type Instrumentation, type LoadOptions, type ModelSource, type Session, type ValueInfo } from '@ediffi/core';
import type { Instrumented } from '../graph/instrument.js';
import { wantsInstruments } from '../ort/open.js';
import { verifiedBytes } from '../ort/source.js';
import type { Answer, Connection } from './connection.js';
import { errorOf, type Failure } from './failure.js';
import { infos, queryOf, type Extension, type WireTensor } from './wire.js';

/** What metadata says of a graph. */
interface Metadata {
  readonly inputs: readonly WireTensor[];
  readonly outputs: readonly WireTensor[];
  readonly parameters?: { readonly ediffi?: Extension };
}

/** A graph on the server. */
export interface Graph {
  readonly path: string;
  readonly query: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** It knows this protocol's binary part. */
  readonly binary: boolean;
  readonly sites?: Session['sites'] | undefined;
  readonly changed?: Instrumented | undefined;
}

const text = (answer: Answer): string => new TextDecoder().decode(answer.body);

/** The error of an answer that is none. */
export function refusal(answer: Answer, model: string, path: string): Error {
  let failure: Failure = { error: text(answer).slice(0, 500) };
  try {
    const body = JSON.parse(text(answer)) as { error?: unknown; detail?: unknown };
    failure = typeof body.error === 'string' ? (body as Failure) : { error: typeof body.detail === 'string' ? body.detail : failure.error };
  } catch {
    // not JSON: a proxy's page
  }
  return errorOf(failure, model, `${model}: ${path} answered ${answer.status}`);
}

async function metadata(connection: Connection, path: string, signal: Abort | undefined, model: string): Promise<Metadata | undefined> {
  const answer = await connection.ask(path, { signal });
  if (answer.status === 404 || (answer.status === 400 && /not found|unknown model/i.test(text(answer)))) return undefined; // Triton answers 400
  if (answer.status !== 200) throw refusal(answer, model, path);
  try {
    const found = JSON.parse(text(answer)) as Metadata;
    if (Array.isArray(found.inputs) && Array.isArray(found.outputs)) return found;
  } catch {
    // said below
  }
  throw new BackendError('remote', `${connection.base}${path}: no metadata of a model — is this a server of the Open Inference Protocol, version 2?`);
}

const graphOf = (path: string, query: string, found: Metadata, model: string): Graph => {
  const own = found.parameters?.ediffi;
  return { path, query, inputs: own?.inputs ?? infos(found.inputs, model), outputs: own?.outputs ?? infos(found.outputs, model), binary: own !== undefined, sites: own?.sites };
};

/** The graph that the server has under this name. */
export async function named(connection: Connection, source: ModelSource, name: string, { instrument, signal }: LoadOptions): Promise<Graph> {
  if (source.edited !== undefined) throw new CapabilityError('remote', `${source.name} is edited (${source.edited}), and the server has it as it was — send it with { uploads: true }`, { code: 'EDITED' });
  const [path, query] = [`/v2/models/${encodeURIComponent(name)}`, queryOf(instrument)];
  const found = await metadata(connection, path + query, signal, source.name);
  if (!found) throw new ModelError(`${source.name}: ${connection.base} has no model '${name}' — it has ${(await namesOn(connection, signal)) ?? 'others'}; name it with { model }, or send it with { uploads: true }`, source.name);
  const [theirs, ours] = [found.parameters?.ediffi?.sha256, source.sha256];
  if (theirs !== undefined && ours !== undefined && theirs !== ours) throw new ModelError(`${source.name}: the server's SHA-256 is ${theirs.slice(0, 12)}…, expected ${ours.slice(0, 12)}… — it has another version`, source.name);
  const graph = graphOf(path, query, found, source.name);
  if (!wantsInstruments(instrument) || found.parameters?.ediffi) return graph;
  return hosted(graph, source, instrument);
}

/** A graph that was instrumented before it was put on the server: what our own surgery adds must be there. */
async function hosted(graph: Graph, source: ModelSource, instrument: Instrumentation): Promise<Graph> {
  if (!instrument.regions && !instrument.maps) return graph; // slices change no answer: the server's own affair
  const changed = (await import('../graph/instrument.js')).instrument(await verifiedBytes(source), instrument, source.name);
  const { strides, strength } = changed.sites;
  const wanted = { inputs: [strength, ...strides.map(({ input }) => input)], outputs: strides.map(({ map }) => map) };
  for (const side of ['inputs', 'outputs'] as const) {
    const missing = wanted[side].filter((name) => name !== undefined && !graph[side].some((info) => info.name === name));
    if (missing.length > 0) throw new CapabilityError('remote', `${source.name}: the server's graph has no ${side.slice(0, -1)} ${missing.join(', ')} — serve it with \`ediffi serve\`, send it with { uploads: true }, or put what instrument() of @ediffi/backends/graph gives there and name it with { model }`, { code: 'INSTRUMENT' });
  }
  return { ...graph, sites: changed.sites, changed };
}

/** The names of the models on a server that tells them. */
async function namesOn(connection: Connection, signal: Abort | undefined): Promise<string | undefined> {
  const answer = await connection.ask('/v2/repository/index', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' }, signal }).catch(() => undefined);
  try {
    return answer?.status === 200 ? (JSON.parse(text(answer)) as { name: string }[]).map(({ name }) => name).join(', ') || 'none' : undefined;
  } catch {
    return undefined;
  }
}

/** The graph itself, sent unless somebody sent the same bytes before: its name ends with their hash. */
export async function uploaded(connection: Connection, source: ModelSource, name: string, { instrument, signal }: LoadOptions): Promise<Graph> {
  const plain = await verifiedBytes(source);
  const beside = (await import('../graph/external.js')).externalFiles(plain, source.name);
  if (beside.length) throw new CapabilityError('remote', `${source.name}: graphs with weights in files beside them (${beside.join(', ')}) cannot be sent — put them on the server`, { code: 'EXTERNAL' });
  const changed = wantsInstruments(instrument) ? (await import('../graph/instrument.js')).instrument(plain, instrument, source.name) : undefined;
  const bytes = changed?.bytes ?? plain;
  const there = `${name}-${(await sha256(bytes, source.name)).slice(0, 16)}`;
  const path = `/v2/models/${encodeURIComponent(there)}`;
  let found = await metadata(connection, path, signal, source.name);
  if (!found) {
    const load = `/v2/repository/models/${encodeURIComponent(there)}/load`;
    const body = JSON.stringify({ parameters: { config: '{"backend":"onnxruntime"}', 'file:1/model.onnx': base64(bytes) } });
    const answer = await connection.ask(load, { method: 'POST', body, headers: { 'content-type': 'application/json' }, signal });
    if (answer.status !== 200 && answer.status !== 409) throw refusal(answer, source.name, load); // 409: somebody else was faster, with the same bytes
    found = await metadata(connection, path, signal, source.name);
  }
  if (!found) throw new BackendError('remote', `${source.name}: ${connection.base} took the graph and does not have it`);
  return { ...graphOf(path, '', found, source.name), sites: changed?.sites, changed };
}

function base64(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 0x8000) out += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(out);
}
