/*
 * What a hub has of a repository, in a page. By the hub's HTTP interface itself: the hub's library resolves to its Node build in some bundlers
 * (esbuild), which then stop at `node:fs`.
 */
import { ModelError } from '@ediffi/core';
import { insidePath } from '../model-files.js';
import { BrokenConnection } from './errors.js';
import type { HubCall, Listed } from './listing.js';

interface Entry {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid?: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

/** The commit and the files of a revision. Rejects with ModelError for what is not there, what is listed without a hash, and for no connection. */
export async function listRepo(repo: string, revision: string, { hubUrl, fetch, accessToken }: HubCall): Promise<{ readonly commit: string; readonly listed: ReadonlyMap<string, Listed> }> {
  const init = accessToken ? { headers: { Authorization: `Bearer ${accessToken}` } } : {};
  const answer = (url: string): Promise<Response> => fetch(url, init).catch((error: unknown) => {
    throw error instanceof BrokenConnection ? new ModelError(`${repo}: ${error.message} — try again`, repo) : error;
  });
  const api = `${hubUrl}/api/models/${repo}`;
  const commit = /^[0-9a-f]{40}$/.test(revision) ? revision : ((await (await answer(`${api}/revision/${encodeURIComponent(revision)}`)).json()) as { readonly sha: string }).sha;
  const listed = new Map<string, Listed>();
  for (let url: string | undefined = `${api}/tree/${commit}?recursive=true`; url !== undefined; ) {
    const page: Response = await answer(url);
    for (const { type, path, size, oid, lfs } of (await page.json()) as readonly Entry[]) if (type === 'file') listed.set(insidePath(path, repo), { id: lfs?.oid ?? oid ?? '', size: lfs?.size ?? size });
    url = /<([^>]+)>;\s*rel="next"/.exec(page.headers.get('link') ?? '')?.[1];
  }
  for (const [path, { id }] of listed) if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) throw new ModelError(`${repo}: the hub lists ${path} without a hash`, path);
  return { commit, listed };
}
