/*
 * One file into the cache. It is written under a name of its own, hashed as it comes, synced, and renamed only when size and hash are
 * right: what carries a blob's name is always whole. A broken download stays as <id>.incomplete and is taken up where it broke.
 */
import { ModelError, type Abort } from '@ediffi/core';
import { createHash, randomBytes, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { sizeOf, syncFolder } from './cache.js';
import { BrokenConnection, reason } from './errors.js';

/** A file to fetch. `id` is its sha256 (large files) or its git id (sha1 of "blob <size>\0" and the bytes), as the hub lists it. */
export interface BlobRequest {
  readonly file: string;
  readonly blob: string;
  readonly id: string;
  readonly size: number;
  readonly retries: number;
  /** The bytes from `start` on; `start` of the answer may be 0 where the server cannot begin elsewhere. */
  readonly bytes: (start: number) => Promise<{ readonly start: number; readonly body: AsyncIterable<Uint8Array> }>;
  readonly progress: (bytes: number) => void;
  /** What ends `bytes`: its reason is passed on, and no connection broke. */
  readonly signal?: Abort | undefined;
  /** How files are opened for writing; a test's can be a full disk. */
  readonly open?: (path: string, flags: string) => Promise<FileHandle>;
}

/** Leftovers of others are taken over when nobody has written to them for this long. */
const ABANDONED_MS = 60_000;
const TOLD_EVERY = 2 ** 18;

const newHash = ({ id, size }: BlobRequest): Hash => (id.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`));

/** Fetches a file to `blob`. Rejects with ModelError: damaged, disk full, connection broken too often; with the signal's reason on abort. */
export async function downloadBlob(request: BlobRequest): Promise<void> {
  const { blob, file } = request;
  await mkdir(dirname(blob), { recursive: true }).catch((error: unknown) => {
    throw notWritten(request, error);
  });
  const own = `${blob}.${randomBytes(4).toString('hex')}.incomplete`;
  await adopt(blob, own);
  for (let attempt = 0; ; attempt++) {
    const before = (await sizeOf(own)) ?? 0;
    try {
      await transfer(request, own);
      break;
    } catch (error) {
      if (!(error instanceof BrokenConnection)) {
        if (ModelError.isInstance(error)) await rm(own, { force: true });
        else await keep(own, blob); // aborted: for the next time
        throw error;
      }
      const after = (await sizeOf(own)) ?? 0;
      if (after > before) attempt = 0; // only attempts that bring nothing count
      if (attempt < request.retries) continue;
      await keep(own, blob);
      throw new ModelError(`${file}: ${error.message} after ${after} of ${request.size} bytes — call again to go on from there, or use offline: true with what is cached`, file);
    }
  }
  await rename(own, blob);
  await syncFolder(dirname(blob));
}

const keep = (own: string, blob: string): Promise<void> => rename(own, `${blob}.incomplete`).catch(() => undefined);

/** Takes over what an earlier download left. The rename is atomic: of two that try, one gets it. */
async function adopt(blob: string, own: string): Promise<void> {
  const name = basename(blob);
  for (const entry of await readdir(dirname(blob))) {
    if (!entry.startsWith(`${name}.`) || !entry.endsWith('.incomplete')) continue;
    const path = join(dirname(blob), entry);
    const found = await stat(path).catch(() => undefined);
    if (!found || (entry !== `${name}.incomplete` && Date.now() - found.mtimeMs < ABANDONED_MS)) continue;
    if (await rename(path, own).then(() => true, () => false)) return;
  }
}

async function transfer(request: BlobRequest, own: string): Promise<void> {
  const { file, size, id } = request;
  let hash = newHash(request);
  let have = (await sizeOf(own)) ?? 0;
  if (have > size) have = 0;
  else if (have > 0) for await (const chunk of createReadStream(own, { end: have - 1 })) hash.update(chunk as Uint8Array);

  const handle = await (request.open ?? open)(own, have ? 'r+' : 'w').catch((error: unknown) => {
    throw notWritten(request, error);
  });
  try {
    if (have < size) {
      const { start, body } = await request.bytes(have);
      if (start !== have) {
        [have, hash] = [0, newHash(request)];
        await handle.truncate(0);
      }
      request.progress(have);
      let told = have;
      for await (const chunk of connected(body, request.signal)) {
        if (have + chunk.length > size) throw damaged(request, `more than the ${size} bytes that the hub lists`);
        await write(handle, chunk, have).catch((error: unknown) => {
          throw notWritten(request, error);
        });
        hash.update(chunk);
        have += chunk.length;
        if (have - told >= TOLD_EVERY || have === size) request.progress((told = have));
      }
      if (have < size) throw new BrokenConnection('the connection broke');
    }
    const actual = hash.digest('hex');
    if (actual !== id) throw damaged(request, `its hash is ${actual.slice(0, 12)}…, the hub lists ${id.slice(0, 12)}… (${id.length === 64 ? 'SHA-256' : 'git id'}, ${size} bytes)`);
    await handle.sync().catch((error: unknown) => {
      throw notWritten(request, error);
    });
  } finally {
    await handle.close();
  }
}

async function* connected(body: AsyncIterable<Uint8Array>, signal: Abort | undefined): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await chunks.next().catch((error: unknown) => {
        signal?.throwIfAborted();
        throw new BrokenConnection(`the connection broke (${reason(error)})`);
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.().catch(() => undefined);
  }
}

async function write(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at, chunk.length - at, position + at)).bytesWritten;
}

const damaged = ({ file }: BlobRequest, how: string): ModelError => new ModelError(`${file}: what was downloaded is damaged: ${how} — nothing of it is kept; try again`, file);

function notWritten({ file, size, blob }: BlobRequest, error: unknown): ModelError {
  const code = reason(error);
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new ModelError(`${file}: ${full ? `the disk is full: ${size} bytes do not fit` : `cannot be written (${code})`} in ${dirname(blob)} — ${full ? 'free some space' : 'give a folder that can be written'}, or set HF_HUB_CACHE to another one; nothing half-written is kept`, file);
}
