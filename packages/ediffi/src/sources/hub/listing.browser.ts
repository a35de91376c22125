/*
 * What a hub has of a repository, in a page. By the hub's HTTP interface itself: the hub's library resolves to its Node build in some bundlers
 * (esbuild), which then stop at `node:fs`.
 */
import { reached } from './errors.js';
import { filesAmong, isCommit, type HubCall, type Listed, type TreeEntry } from './listed.js';

/** The commit and the files of a revision. Rejects with ModelError for what is not there, what is listed without a hash, and for no connection. */
export async function listRepo(repo: string, revision: string, { hubUrl, fetch, accessToken }: HubCall): Promise<{ readonly commit: string; readonly listed: ReadonlyMap<string, Listed> }> {
  const init = accessToken ? { headers: { Authorization: `Bearer ${accessToken}` } } : {};
  const api = `${hubUrl}/api/models/${repo}`;
  async function* entries(commit: string): AsyncGenerator<TreeEntry> {
    for (let url: string | undefined = `${api}/tree/${commit}?recursive=true`; url !== undefined; ) {
      const page: Response = await fetch(url, init);
      yield* (await page.json()) as readonly TreeEntry[];
      url = /<([^>]+)>;\s*rel="next"/.exec(page.headers.get('link') ?? '')?.[1];
    }
  }
  return reached(repo, async () => {
    const commit = isCommit(revision) ? revision : ((await (await fetch(`${api}/revision/${encodeURIComponent(revision)}`, init)).json()) as { readonly sha: string }).sha;
    return { commit, listed: await filesAmong(repo, entries(commit)) };
  }, 'try again');
}
