import { ModelError } from '@ediffi/core';
import { webFiles } from '@ediffi/model';
import { missingFile, type ModelFiles } from '../model-files.js';
import { hubFetch } from './errors.js';
import { listRepo } from './listing.js';
import type { HubOptions } from './options.js';
import { parseRepo } from './repo.js';

/**
 * The files of a hub repository in a page: read over HTTP when they are first asked for, large ones kept in the Cache API and compared with the hub's SHA-256.
 * Rejects with ModelError for a repository, revision or file that is not there, for damage, and for no connection; OptionError for what is no id.
 */
export async function hubFiles(source: string, { endpoint = 'https://huggingface.co', token, signal, progress, revision }: HubOptions = {}): Promise<ModelFiles> {
  const { repo, revision: wanted } = parseRepo(source, revision);
  signal?.throwIfAborted();
  const hubUrl = endpoint.replace(/\/+$/, '');
  const { commit, listed } = await listRepo(repo, wanted, { hubUrl, fetch: hubFetch(repo, wanted, signal), ...(token && { accessToken: token }) });
  const paths = [...listed.keys()].sort();
  const location = `${repo}@${wanted}`;
  const web = webFiles(`${hubUrl}/${repo}/resolve/${commit}/`, {
    ...(token && { headers: { Authorization: `Bearer ${token}` } }),
    ...(signal && { signal }),
    onProgress: ({ path, loaded }) => progress?.({ file: path, bytes: loaded, total: listed.get(path)!.size }),
  });
  return {
    location,
    list: async () => paths,
    has: async (path) => listed.has(path),
    async read(path) {
      const file = listed.get(path);
      if (!file) throw missingFile(path, paths, location);
      if (file.id.length === 64) return web.read(path, { sha256: file.id, bytes: file.size });
      const bytes = await web.read(path);
      if ((await gitId(bytes)) !== file.id) throw new ModelError(`${path}: what ${location} gives is damaged: its git id is not the ${file.id.slice(0, 12)}… that the hub lists — try again`, path);
      return bytes;
    },
  };
}

/** SHA-1 of "blob <size>\0" and the bytes. */
async function gitId(bytes: Uint8Array): Promise<string> {
  const head = new TextEncoder().encode(`blob ${bytes.length}\0`);
  const whole = new Uint8Array(head.length + bytes.length);
  whole.set(head);
  whole.set(bytes, head.length);
  return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-1', whole)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
