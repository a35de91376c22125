/*
 * Files over HTTP, kept in the browser's Cache API: downloaded once, compared with the card's hash whenever they are read, downloaded again
 * when they do not fit. Where there is no room (or no cache), they are kept in memory instead.
 */
import { ModelError, sha256, type Abort } from '@ediffi/core';
import type { Expected, ModelFiles } from './files.js';

/** What is known of a download. */
export interface DownloadProgress {
  readonly path: string;
  /** Bytes so far. */
  readonly loaded: number;
  /** Bytes in all, where the card or the server says. */
  readonly total?: number;
  /** Whether it came from the cache. */
  readonly cached: boolean;
}

/** Options of webFiles. */
export interface WebFilesOptions {
  /** Name of the cache, or false for none. Default 'ediffi'. */
  readonly cache?: string | false;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Called as bytes arrive. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Ends the downloads under way, and refuses later ones: files are fetched when they are first needed. */
  readonly signal?: Abort;
}

/* The little of the browser that is used here, so that this package needs no DOM types. */
interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: { getReader(): { read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }> } } | null;
  arrayBuffer(): Promise<ArrayBuffer>;
}
interface Store {
  match(url: string): Promise<Answer | undefined>;
  put(url: string, answer: object): Promise<void>;
  delete(url: string): Promise<boolean>;
}
interface Browser {
  readonly fetch: (url: string, init: { readonly headers?: Readonly<Record<string, string>>; readonly signal?: Abort }) => Promise<Answer>;
  readonly caches?: { open(name: string): Promise<Store> };
  readonly Response: new (body: Uint8Array) => object;
  readonly document?: { readonly baseURI: string };
}

/** The files below a URL (relative to the page). `read` rejects with ModelError when one is missing, cut off or altered, with the signal's reason on abort. */
export function webFiles(baseUrl: string | URL, { cache = 'ediffi', headers, onProgress, signal }: WebFilesOptions = {}): ModelFiles {
  const { fetch, caches, Response, document } = globalThis as unknown as Browser;
  const base = new URL(baseUrl, document?.baseURI);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const store = cache === false || !caches ? undefined : caches.open(cache).catch(() => undefined);
  const memory = new Map<string, Uint8Array>();

  const keep = async (url: string, bytes: Uint8Array): Promise<void> => {
    try {
      const kept = await store;
      if (kept) return await kept.put(url, new Response(bytes));
    } catch {
      // no room left, or storage is not allowed: memory has to do
    }
    memory.set(url, bytes);
  };
  const kept = async (url: string, expected?: Expected): Promise<Uint8Array | undefined> => {
    const known = memory.get(url);
    if (known) return known;
    const opened = await store;
    const answer = await opened?.match(url).catch(() => undefined);
    const bytes = answer && new Uint8Array(await answer.arrayBuffer());
    if (!bytes || !expected || (bytes.length === expected.bytes && (await sha256(bytes, url)) === expected.sha256)) return bytes;
    await opened?.delete(url); // another version's, or damaged
    return undefined;
  };
  const download = async (url: string, path: string, expected?: Expected): Promise<Uint8Array> => {
    const answer = await fetch(url, { ...(headers && { headers }), ...(signal && { signal }) });
    if (!answer.ok) throw new ModelError(`${path}: ${url} answers ${answer.status} — the whole folder of the model must be served (the embedded one's: card.json, weights/ and tokenizers/)`, path);
    const encoded = answer.headers.get('content-encoding') !== null; // then its length is not the file's
    const total = expected?.bytes ?? (encoded ? undefined : Number(answer.headers.get('content-length')) || undefined);
    return collected(answer, (loaded) => onProgress?.({ path, loaded, ...(total !== undefined && { total }), cached: false }));
  };

  return {
    location: base.href,
    async read(path, expected) {
      const url = new URL(path, base).href;
      const known = expected && (await kept(url, expected));
      if (known) {
        onProgress?.({ path, loaded: known.length, total: known.length, cached: true });
        return known;
      }
      try {
        const bytes = await download(url, path, expected);
        const fits = !expected || (bytes.length === expected.bytes && (await sha256(bytes, url)) === expected.sha256);
        if (!fits) throw new ModelError(`${path}: ${url} gives ${bytes.length} bytes, which are not the ${expected.bytes} of the expected SHA-256 ${expected.sha256.slice(0, 12)}… — the file is damaged or from another version`, path);
        await keep(url, bytes);
        return bytes;
      } catch (error) {
        signal?.throwIfAborted();
        const old = expected || ModelError.isInstance(error) ? undefined : await kept(url); // offline: card and tokenizers as they were
        if (old) return old;
        throw error;
      }
    },
  };
}

async function collected(answer: Answer, progress: (loaded: number) => void): Promise<Uint8Array> {
  if (!answer.body) return new Uint8Array(await answer.arrayBuffer());
  const reader = answer.body.getReader();
  const parts: Uint8Array[] = [];
  let loaded = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !value) break;
    parts.push(value);
    progress((loaded += value.length));
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
