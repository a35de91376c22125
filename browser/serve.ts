import { createReadStream, statSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, sep } from 'node:path';

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm', '.svg': 'image/svg+xml', '.png': 'image/png', '.woff2': 'font/woff2' };

/** A static server of a test. */
export interface Served {
  readonly url: string;
  /** Paths asked for since the start, in order. */
  readonly asked: string[];
  close(): Promise<void>;
}

/** What is at a path: a folder's files (keys that end with '/'), or text with its type by the key's ending. */
export type Routes = Readonly<Record<string, { readonly folder: string } | { readonly text: string }>>;

/** Serves on a free port of this machine; `isolated` adds the headers that threads need. */
export async function serve(routes: Routes, { isolated = false } = {}): Promise<Served> {
  const asked: string[] = [];
  const prefixes = Object.keys(routes).filter((key) => key.endsWith('/')).sort((a, b) => b.length - a.length);
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
    asked.push(path);
    if (isolated) response.setHeader('cross-origin-opener-policy', 'same-origin').setHeader('cross-origin-embedder-policy', 'require-corp');
    response.setHeader('content-type', TYPES[extname(path) || '.html'] ?? 'application/octet-stream').setHeader('cache-control', path.endsWith('.wasm') ? 'max-age=3600' : 'no-store');
    const exact = routes[path];
    if (exact && 'text' in exact) return void response.end(exact.text);
    const prefix = prefixes.find((key) => path.startsWith(key));
    const found = prefix === undefined ? undefined : routes[prefix];
    if (found && 'folder' in found) return file(found.folder, path.slice(prefix!.length), response);
    response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const close = (): Promise<void> => new Promise((done) => (server.close(() => done()), server.closeAllConnections()));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}

function file(folder: string, path: string, response: ServerResponse): void {
  const candidates = [path, `${path}.html`, join(path, 'index.html')].map((name) => join(folder, name)).filter((name) => name === folder || name.startsWith(folder.endsWith(sep) ? folder : folder + sep));
  const found = candidates.find((name) => statSync(name, { throwIfNoEntry: false })?.isFile());
  if (found === undefined) return void response.writeHead(404).end();
  response.setHeader('content-type', TYPES[extname(found)] ?? 'application/octet-stream').setHeader('content-length', statSync(found).size);
  createReadStream(found).pipe(response);
}
