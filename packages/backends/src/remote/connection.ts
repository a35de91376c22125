/* Requests to one server: headers, abort, another try where that is safe. */
import { BackendError, type Abort, type MaybePromise } from '@ediffi/core';
import { abortable } from '../ort/source.js';

/** What a connection is made of. */
export interface ConnectionOptions {
  readonly headers: Readonly<Record<string, string>> | (() => MaybePromise<Readonly<Record<string, string>>>);
  /** How often a request is tried again. */
  readonly retries: number;
  readonly fetch: typeof fetch;
}

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

const BUSY = new Set([429, 502, 503, 504]); // the server did not begin: nothing is done twice

/** Sends requests to `base` + path. */
export class Connection {
  constructor(
    readonly base: string,
    readonly options: ConnectionOptions,
  ) {}

  /** The answer, whatever its status. Rejects with BackendError when there is none, with the signal's reason on abort. */
  async ask(path: string, init: { readonly method?: string; readonly body?: Uint8Array<ArrayBuffer> | string; readonly headers?: Readonly<Record<string, string>>; readonly signal?: Abort | undefined } = {}): Promise<Answer> {
    const { headers, retries } = this.options;
    for (let attempt = 0; ; attempt++) {
      init.signal?.throwIfAborted();
      const own = typeof headers === 'function' ? await headers() : headers;
      const answer = await this.#once(path, { ...init, headers: { ...own, ...init.headers } }).catch((cause: unknown) => {
        if (init.signal?.aborted || attempt >= retries) throw cause;
      });
      if (answer && (!BUSY.has(answer.status) || attempt >= retries)) return answer;
      await abortable(new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt)), init.signal);
    }
  }

  async #once(path: string, { method = 'GET', body, headers, signal }: Parameters<Connection['ask']>[1] & {}): Promise<Answer> {
    const controller = new AbortController();
    const abort = (): void => controller.abort(signal!.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const url = this.base + path;
    try {
      const work = this.options.fetch(url, { method, headers: headers!, signal: controller.signal, ...(body !== undefined && { body }) }).then(async (response) => ({ status: response.status, headers: response.headers, body: new Uint8Array(await response.arrayBuffer()) }));
      return await abortable(work, signal);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw new BackendError('remote', `${method} ${url}: no answer — is the server there, and does it allow this page?`, {}, { cause });
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }
}
