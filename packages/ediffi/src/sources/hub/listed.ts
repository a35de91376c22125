/* A hub's list of files, whoever fetched it. */
import { ModelError } from '@ediffi/core';
import { insidePath } from '../model-files.js';

/** A file as the hub lists it: `id` is the SHA-256 of large files (64 digits), git's hash of the others (40). */
export interface Listed {
  readonly id: string;
  readonly size: number;
}

/** An entry of the hub's tree. */
export interface TreeEntry {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid?: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

/** How the hub is called. */
export interface HubCall {
  readonly hubUrl: string;
  readonly fetch: typeof fetch;
  readonly accessToken?: string;
}

/** Whether a revision is a commit itself. */
export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** The files among the entries. Rejects with ModelError for a path that leaves the model and for a file listed without a hash. */
export async function filesAmong(repo: string, entries: AsyncIterable<TreeEntry>): Promise<ReadonlyMap<string, Listed>> {
  const listed = new Map<string, Listed>();
  for await (const { type, path, size, oid, lfs } of entries) if (type === 'file') listed.set(insidePath(path, repo), { id: lfs?.oid ?? oid ?? '', size: lfs?.size ?? size });
  for (const [path, { id }] of listed) if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) throw new ModelError(`${repo}: the hub lists ${path} without a hash`, path);
  return listed;
}
