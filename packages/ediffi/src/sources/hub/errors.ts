import { ModelError, type Abort } from '@ediffi/core';

/** A connection that broke: worth another attempt. */
export class BrokenConnection extends Error {}

/** What the hub's refusal means. Its text may hold signed addresses, so only status and error code are passed on. */
export function refusal(response: Response, what: string, repo: string, revision: string): ModelError {
  const code = response.headers.get('x-error-code');
  const { status } = response;
  const says = (sentence: string): ModelError => new ModelError(`${repo}: ${sentence} (HTTP ${status})`, what);
  if (status === 401 || status === 403 || code === 'GatedRepo') return says(`no access to ${what} — there is no such repository, it is private, or its licence is not accepted yet; pass token or set HF_TOKEN`);
  if (code === 'RevisionNotFound') return says(`no revision '${revision}' — give a branch, tag or commit of this repository`);
  if (code === 'RepoNotFound') return says('no such repository — check the name; private ones need a token');
  if (status === 404) return says(`${what} is not there at revision '${revision}'`);
  if (status === 429) return says('the hub asks for a pause — try again later, or pass a token');
  return says(`the hub cannot serve ${what} — try again later`);
}

/** `fetch` that throws ModelError for refusals, BrokenConnection when nobody answers, the signal's reason on abort. */
export function hubFetch(repo: string, revision: string, signal: Abort | undefined): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, { ...init, ...(signal && { signal: signal as AbortSignal }) }).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw new BrokenConnection(`no connection to the hub (${reason(error)})`);
    });
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status >= 500) throw new BrokenConnection(`the hub failed (HTTP ${response.status})`);
    throw refusal(response, what(input), repo, revision);
  };
}

/** `work`, with a broken connection as the ModelError that says what to do about it. */
export async function reached<T>(repo: string, work: () => Promise<T>, advice: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BrokenConnection)) throw error;
    throw new ModelError(`${repo}: ${error.message} — ${advice}`, repo);
  }
}

/** The code of a network or file error: never its message, which may hold an address. */
export function reason(error: unknown): string {
  const { code, cause, name } = error as { code?: string; cause?: { code?: string }; name?: string };
  return code ?? cause?.code ?? name ?? 'unknown';
}

const what = (input: Parameters<typeof fetch>[0]): string => {
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  const [, file] = /\/resolve\/[^/]+\/(.+)$/.exec(pathname) ?? [];
  return file ? decodeURIComponent(file) : 'its list of files';
};
