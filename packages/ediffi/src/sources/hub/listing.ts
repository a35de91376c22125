/* What a hub has of a repository: the commit behind a revision, and its files with their sizes and hashes. */
import { ModelError } from '@ediffi/core';
import { insidePath } from '../model-files.js';
import { BrokenConnection } from './errors.js';

/** A file as the hub lists it: `id` is the SHA-256 of large files (64 digits), git's hash of the others (40). */
export interface Listed {
  readonly id: string;
  readonly size: number;
}

/** How the hub is called. */
export interface HubCall {
  readonly hubUrl: string;
  readonly fetch: typeof fetch;
  readonly accessToken?: string;
}

/** The commit and the files of a revision. Rejects with ModelError for what is not there, what is listed without a hash, and for no connection. */
export async function listRepo(repo: string, revision: string, call: HubCall): Promise<{ readonly commit: string; readonly listed: ReadonlyMap<string, Listed> }> {
  const { modelInfo, listFiles } = await import('@huggingface/hub');
  const commit = /^[0-9a-f]{40}$/.test(revision) ? revision : (await reached(repo, () => modelInfo({ ...call, name: repo, revision, additionalFields: ['sha'] }))).sha;
  const listed = new Map<string, Listed>();
  await reached(repo, async () => {
    for await (const entry of listFiles({ ...call, repo, revision: commit, recursive: true })) {
      if (entry.type === 'file') listed.set(insidePath(entry.path, repo), { id: entry.lfs?.oid ?? entry.oid ?? '', size: entry.lfs?.size ?? entry.size });
    }
  });
  for (const [path, { id }] of listed) if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) throw new ModelError(`${repo}: the hub lists ${path} without a hash`, path);
  return { commit, listed };
}

async function reached<T>(repo: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BrokenConnection)) throw error;
    throw new ModelError(`${repo}: ${error.message} — try again, or use offline: true with what is cached`, repo);
  }
}
