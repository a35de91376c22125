// A static server for pages: tests and `npm run playground`.
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, sep } from 'node:path';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm', '.svg': 'image/svg+xml', '.png': 'image/png', '.woff2': 'font/woff2' };

/**
 * Serves `routes` on this machine: a key that ends with '/' is a folder, another one a text with its type by the key's ending.
 * `isolated` adds the headers that threads need. Answers with the address, the paths asked for so far, and how to end it.
 * @param {Readonly<Record<string, { folder?: string, text?: string }>>} routes
 * @param {{ isolated?: boolean, port?: number }} options
 * @returns {Promise<{ url: string, asked: string[], close(): Promise<void> }>}
 */
export async function serve(routes, { isolated = false, port = 0 } = {}) {
  const asked = [];
  const prefixes = Object.keys(routes).filter((key) => key.endsWith('/')).sort((a, b) => b.length - a.length);
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
    asked.push(path);
    if (isolated) response.setHeader('cross-origin-opener-policy', 'same-origin').setHeader('cross-origin-embedder-policy', 'require-corp');
    response.setHeader('content-type', TYPES[extname(path) || '.html'] ?? 'application/octet-stream').setHeader('cache-control', path.endsWith('.wasm') ? 'max-age=3600' : 'no-store');
    const { text } = routes[path] ?? {};
    if (text !== undefined) return void response.end(text);
    const prefix = prefixes.find((key) => path.startsWith(key));
    const { folder } = routes[prefix] ?? {};
    if (folder !== undefined) return file(folder, path.slice(prefix.length), response);
    response.writeHead(404).end();
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', () => done(undefined)));
  return { url: `http://127.0.0.1:${server.address().port}`, asked, close: () => new Promise((done) => (server.close(() => done(undefined)), server.closeAllConnections())) };
}

function file(folder, path, response) {
  const inside = (name) => name === folder || name.startsWith(folder.endsWith(sep) ? folder : folder + sep);
  const found = [path, `${path}.html`, join(path, 'index.html')].map((name) => join(folder, name)).find((name) => inside(name) && statSync(name, { throwIfNoEntry: false })?.isFile());
  if (found === undefined) return void response.writeHead(404).end();
  response.setHeader('content-type', TYPES[extname(found)] ?? 'application/octet-stream').setHeader('content-length', statSync(found).size);
  createReadStream(found).pipe(response);
}
