import { BackendError, DisposedError, type Abort } from '@ediffi/core';
import { Worker } from 'node:worker_threads';
import { workerSource } from './worker-source.js';

interface Call {
  readonly message: Readonly<Record<string, unknown>>;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

interface Answer {
  readonly result?: unknown;
  readonly error?: string;
}

/**
 * A worker thread that answers requests in order. One request at a time is with the worker, the others wait here, so that an aborted
 * one that has not begun is never computed. The process stays alive only while a request is open.
 */
export class Thread {
  readonly #worker: Worker;
  #active: Call | undefined;
  #waiting: Call[] = [];
  #gone: Error | undefined;
  #ended: Promise<void> | undefined;

  constructor(
    runtime: string,
    readonly name: string,
  ) {
    // No inherited flags: `node --input-type=module` or a loader of the host would change what the worker's source means.
    this.#worker = new Worker(workerSource, { eval: true, execArgv: [], workerData: { runtime }, name: `ediffi ${name}`.slice(0, 64) });
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => this.#settle(answer));
    this.#worker.on('error', (error) => this.#fail(new BackendError('ort-node', `${name}: the worker thread died: ${error.message} — load the model again`, {}, { cause: error })));
    this.#worker.on('exit', (code) => this.#fail(new BackendError('ort-node', `${name}: the worker thread ended (exit code ${code}) — load the model again`)));
  }

  /** Sends a request, moving the buffers in `transfer`. On abort rejects with the signal's reason at once and drops the late answer. */
  ask<T>(action: string, request: Readonly<Record<string, unknown>> = {}, transfer: readonly ArrayBuffer[] = [], signal?: Abort): Promise<T> {
    if (this.#gone) return Promise.reject(this.#gone);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise<T>((resolve, reject) => {
      const aborted = (): void => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== call);
        reject(signal?.reason);
      };
      const settle = <A>(then: (value: A) => void) => (value: A): void => {
        signal?.removeEventListener('abort', aborted);
        then(value);
      };
      const call: Call = { message: { action, ...request }, transfer, resolve: settle(resolve as (value: unknown) => void), reject: settle(reject) };
      signal?.addEventListener('abort', aborted, { once: true });
      this.#waiting.push(call);
      this.#advance();
    });
  }

  /** Rejects what is open with DisposedError, lets the worker finish its request, frees the session and ends the thread. Idempotent. */
  end(): Promise<void> {
    return (this.#ended ??= this.#finish());
  }

  async #finish(): Promise<void> {
    if (!this.#gone) {
      const disposed = new DisposedError(this.name);
      for (const call of [...(this.#active ? [this.#active] : []), ...this.#waiting]) call.reject(disposed);
      this.#waiting = [];
      const released = this.ask('release').catch(() => undefined);
      this.#gone = disposed;
      await released;
    }
    await this.#worker.terminate();
  }

  #advance(): void {
    if (this.#active) return;
    this.#active = this.#waiting.shift();
    if (!this.#active) {
      this.#worker.unref();
      return;
    }
    this.#worker.ref();
    this.#worker.postMessage(this.#active.message, this.#active.transfer);
  }

  #settle({ result, error }: Answer): void {
    const call = this.#active;
    this.#active = undefined;
    if (error === undefined) call?.resolve(result);
    else call?.reject(new BackendError('ort-node', `${this.name}: ${error}`));
    this.#advance();
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    const open = [...(this.#active ? [this.#active] : []), ...this.#waiting];
    [this.#active, this.#waiting] = [undefined, []];
    for (const call of open) call.reject(error);
  }
}
