/* What a hub has of a repository: the commit behind a revision, and its files with their sizes and hashes. */
import { reached } from './errors.js';
import { filesAmong, isCommit, type HubCall, type Listed } from './listed.js';

/** The commit and the files of a revision. Rejects with ModelError for what is not there, what is listed without a hash, and for no connection. */
export async function listRepo(repo: string, revision: string, call: HubCall): Promise<{ readonly commit: string; readonly listed: ReadonlyMap<string, Listed> }> {
  const { modelInfo, listFiles } = await import('@huggingface/hub');
  return reached(repo, async () => {
    const commit = isCommit(revision) ? revision : (await modelInfo({ ...call, name: repo, revision, additionalFields: ['sha'] })).sha;
    return { commit, listed: await filesAmong(repo, listFiles({ ...call, repo, revision: commit, recursive: true })) };
  }, 'try again, or use offline: true with what is cached');
}
