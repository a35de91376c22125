import { integer, ModelError, type Abort } from '@ediffi/core';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { folderFiles } from '../folder.js';
import { missingFile, type ModelFiles } from '../model-files.js';
import { RepoCache, sizeOf } from './cache.js';
import { downloadBlob } from './download.js';
import { hubFetch } from './errors.js';
import { listRepo } from './listing.js';
import { hubCache, isOffline, type Download, type HubOptions } from './options.js';
import { parseRepo } from './repo.js';

/** A repository of a hub at one commit. */
export interface HubFiles extends ModelFiles {
  readonly commit: string;
  path(path: string): Promise<string>;
  /** Fetches files that are not on disk yet, in order, and says how far it is. Default: every file. */
  download(paths?: readonly string[]): AsyncGenerator<Download, void, void>;
}

/** A download under way in this process. */
interface Transfer {
  readonly work: Promise<void>;
  /** Told how far it is: those who asked for the same blob. */
  readonly told: Set<(bytes: number) => void>;
}

/** By blob: whoever asks meanwhile waits for the same one. */
const underWay = new Map<string, Transfer>();

/**
 * The files of a hub repository (`org/name` or `org/name@revision`), fetched one by one when they are first asked for, into the cache
 * that the hub's own libraries use. Rejects with ModelError for a repository, revision or file that is not there, for damage, and for
 * no connection; OptionError for what is no id.
 */
export async function hubFiles(source: string, options: HubOptions = {}): Promise<HubFiles> {
  const { repo, revision } = parseRepo(source, options.revision);
  const retries = integer('retries', options.retries ?? 3, 0, 100);
  options.signal?.throwIfAborted();
  const cache = new RepoCache(options.cache ?? hubCache(), repo);
  if (isOffline(options)) return cached(cache, repo, revision);

  const endpoint = (options.endpoint ?? process.env['HF_ENDPOINT'] ?? 'https://huggingface.co').replace(/\/+$/, '');
  const token = options.token ?? process.env['HF_TOKEN'];
  const { fileDownloadInfo } = await import('@huggingface/hub');
  const fetch = hubFetch(repo, revision, options.signal);
  const call = { hubUrl: endpoint, fetch, ...(token && { accessToken: token }) };
  const { commit, listed } = await listRepo(repo, revision, call);
  const paths = [...listed.keys()].sort();
  const location = `${repo}@${revision}`;
  if (commit !== revision) await cache.remember(revision, commit);

  const fetched = async (path: string, progress: (bytes: number) => void): Promise<string> => {
    const file = listed.get(path);
    if (!file) throw missingFile(path, paths, location);
    const [pointer, blob] = [cache.pointer(commit, path), cache.blob(file.id)];
    if ((await sizeOf(pointer)) === file.size) return pointer;
    if ((await sizeOf(blob)) !== file.size) {
      const bytes = async (start: number): Promise<{ start: number; body: AsyncIterable<Uint8Array> }> => {
        const info = await fileDownloadInfo({ ...call, repo, path, revision: commit });
        if (!info) throw missingFile(path, paths, location);
        const headers = { ...(start > 0 && { Range: `bytes=${start}-` }), ...(token && { Authorization: `Bearer ${token}` }) };
        const response = await fetch(info.url, { headers });
        return { start: response.status === 206 ? start : 0, body: response.body ?? new ReadableStream() };
      };
      await onceUnderWay(blob, (told) => downloadBlob({ file: path, blob, ...file, retries, bytes, progress: told, signal: options.signal }), progress, options.signal);
    }
    return cache.link(commit, path, file.id);
  };
  const told = (path: string, more?: (bytes: number) => void) => (bytes: number): void => {
    options.progress?.({ file: path, bytes, total: listed.get(path)!.size });
    more?.(bytes);
  };
  const path = (file: string): Promise<string> => fetched(file, told(file));
  return {
    location,
    commit,
    list: async () => paths,
    has: async (file) => listed.has(file),
    path,
    read: async (file) => readFile(await path(file)),
    async *download(wanted = paths) {
      for (const file of wanted) {
        let [bytes, over] = [0, false];
        let tell = (): void => undefined;
        const work = fetched(file, told(file, (now) => ((bytes = now), tell())));
        const ended = work.then(() => (over = true), () => (over = true));
        for (;;) {
          await Promise.race([new Promise<void>((resolve) => (tell = resolve)), ended]);
          if (over) break;
          yield { file, bytes, total: listed.get(file)!.size };
        }
        await work;
        yield { file, bytes: listed.get(file)!.size, total: listed.get(file)!.size };
      }
    },
  };
}

/** The download of a blob: the one under way, else one's own. What fails that somebody else began may be their abort or their token: then one's own follows. */
async function onceUnderWay(blob: string, begin: (told: (bytes: number) => void) => Promise<void>, progress: (bytes: number) => void, signal: Abort | undefined): Promise<void> {
  for (let theirs = underWay.get(blob); theirs; theirs = underWay.get(blob)) if (await joined(theirs, progress, signal)) return;
  const told = new Set([progress]);
  const work = begin((bytes) => told.forEach((tell) => tell(bytes))).finally(() => underWay.delete(blob));
  underWay.set(blob, { work, told });
  await work;
}

/** Waits for a download that somebody else began; whether it came. Rejects for one's own reasons alone, an abort or a `progress` that throws, while the download goes on. */
function joined({ work, told }: Transfer, progress: (bytes: number) => void, signal: Abort | undefined): Promise<boolean> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const leave = (): void => {
      told.delete(tell);
      signal?.removeEventListener('abort', aborted);
    };
    const tell = (bytes: number): void => {
      try {
        progress(bytes);
      } catch (error) {
        leave();
        reject(error);
      }
    };
    const aborted = (): void => {
      leave();
      reject(signal!.reason);
    };
    told.add(tell);
    signal?.addEventListener('abort', aborted, { once: true });
    work.finally(leave).then(() => resolve(true), () => resolve(false));
  });
}

/** What earlier downloads left, without a word to the hub. */
async function cached(cache: RepoCache, repo: string, revision: string): Promise<HubFiles> {
  const commit = /^[0-9a-f]{40}$/.test(revision) ? revision : await cache.commit(revision);
  const location = `${repo}@${revision} (offline)`;
  const absent = (): never => {
    throw new ModelError(`${location}: not in the cache ${cache.root} — open it once with a connection, or copy the cache of a machine that has it`, repo);
  };
  const files = commit === undefined ? absent() : await folderFiles(cache.snapshot(commit)).catch(absent);
  const path = async (file: string): Promise<string> => {
    if (!(await files.has(file))) throw missingFile(file, await files.list(), location);
    return join(cache.snapshot(commit!), file);
  };
  return {
    ...files,
    location,
    commit: commit!,
    path,
    read: async (file) => readFile(await path(file)),
    async *download(wanted = []) {
      for (const file of wanted) {
        const total = (await sizeOf(await path(file)))!;
        yield { file, bytes: total, total };
      }
    },
  };
}
