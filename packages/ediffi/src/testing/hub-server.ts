/* A hub of one repository on 127.0.0.1, for tests: the endpoints that are asked, and the ways in which they fail. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the test hub holds and how it behaves; may be changed while it runs. */
export interface HubState {
  readonly repo: string;
  readonly commit: string;
  readonly files: Record<string, Uint8Array>;
  /** Paths that are stored as large files: found by redirect, hashed by sha256. */
  readonly large: readonly string[];
  /** Bytes after which the next answers with a file break off; one entry each. */
  cuts: number[];
  /** Sends other bytes than listed. */
  corrupt: boolean;
  /** Answers requests for a part with the whole. */
  ignoreRange: boolean;
  /** Only with this token. */
  token?: string;
  /** Every request: method, path, range. */
  readonly requests: string[];
}

/** Starts the hub. */
export async function hubServer(state: HubState): Promise<{ readonly endpoint: string; close(): Promise<void> }> {
  const server = createServer((request, response) => answer(state, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    endpoint,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

const hex = (kind: string, ...parts: (string | Uint8Array)[]): string => parts.reduce((hash, part) => hash.update(part), createHash(kind)).digest('hex');
const gitId = (bytes: Uint8Array): string => hex('sha1', `blob ${bytes.length}\0`, bytes);
const sha256 = (bytes: Uint8Array): string => hex('sha256', bytes);

function answer(state: HubState, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url!, 'http://hub');
  state.requests.push([request.method, pathname, request.headers.range].filter(Boolean).join(' '));
  const json = (status: number, value: object, headers: Record<string, string> = {}): void => void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  const refuse = (status: number, code: string): void => json(status, { error: code }, { 'x-error-code': code });
  if (pathname.startsWith('/cdn/')) return send(state, request, response, Object.values(state.files).find((bytes) => sha256(bytes) === pathname.slice(5))!);
  if (state.token !== undefined && request.headers.authorization !== `Bearer ${state.token}`) return refuse(401, 'GatedRepo');
  const [, revision] = new RegExp(`^/api/models/${state.repo}/revision/(.+)$`).exec(pathname) ?? [];
  if (revision) return revision === 'main' || revision === state.commit ? json(200, { _id: '1', id: state.repo, sha: state.commit }) : refuse(404, 'RevisionNotFound');
  if (pathname === `/api/models/${state.repo}/tree/${state.commit}`) {
    const paths = Object.keys(state.files); // one file a page, so that paging is seen to work
    const at = Number(searchParams.get('cursor') ?? 0);
    const bytes = state.files[paths[at]!]!;
    const lfs = state.large.includes(paths[at]!) && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } };
    const next: Record<string, string> = at + 1 < paths.length ? { link: `<http://${request.headers.host}${pathname}?recursive=true&cursor=${at + 1}>; rel="next"` } : {};
    return json(200, [{ type: 'file', path: paths[at], oid: gitId(bytes), size: bytes.length, ...lfs }, { type: 'directory', path: 'unet', oid: state.commit, size: 0 }], next);
  }
  const [, path] = new RegExp(`^/${state.repo}/resolve/${state.commit}/(.+)$`).exec(pathname) ?? [];
  const bytes = path === undefined ? undefined : state.files[decodeURIComponent(path)];
  if (!bytes) return refuse(404, pathname.includes('/tree/') ? 'RevisionNotFound' : path === undefined ? 'RepoNotFound' : 'EntryNotFound');
  if (!state.large.includes(path!)) return send(state, request, response, bytes, { etag: `"${gitId(bytes)}"` });
  const linked = { 'x-linked-etag': `"${sha256(bytes)}"`, 'x-linked-size': String(bytes.length), 'x-repo-commit': state.commit };
  response.writeHead(302, { ...linked, location: `/cdn/${sha256(bytes)}?X-Amz-Signature=secret-signature` }).end();
}

function send(state: HubState, request: IncomingMessage, response: ServerResponse, whole: Uint8Array, headers: Record<string, string> = {}): void {
  const range = state.ignoreRange && request.headers.range !== 'bytes=0-0' ? null : /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '');
  const [start, end] = range ? [Number(range[1]), range[2] ? Number(range[2]) + 1 : whole.length] : [0, whole.length];
  const probe = request.headers.range === 'bytes=0-0';
  const part = Uint8Array.from(whole.subarray(start, end));
  if (state.corrupt && !probe) part[0]! ^= 1;
  const tag = { etag: `"${sha256(whole)}"`, ...headers };
  response.writeHead(range ? 206 : 200, { 'content-length': part.length, 'x-repo-commit': state.commit, ...tag, ...(range && { 'content-range': `bytes ${start}-${end - 1}/${whole.length}` }) });
  const cut = probe ? undefined : state.cuts.shift();
  if (cut === undefined) return void response.end(part);
  response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 10));
}
