import { BackendError, DisposedError, type Abort } from '@ediffi/core';
import { Worker } from 'node:worker_threads';
import { workerSource } from './worker-source.js';

interface Pending {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** A worker thread that answers requests in order. It keeps the process alive only while a request is open. */
export class Thread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #gone: Error | undefined;

  constructor(
    runtime: string,
    readonly name: string,
  ) {
    this.#worker = new Worker(workerSource, { eval: true, workerData: { runtime }, name: `ediffi ${name}`.slice(0, 64) });
    this.#worker.unref();
    this.#worker.on('message', (answer: Answer) => this.#settle(answer));
    this.#worker.on('error', (error) => this.#fail(new BackendError('ort-node', `${name}: the worker thread died: ${error.message}`, {}, { cause: error })));
    this.#worker.on('exit', (code) => this.#fail(new BackendError('ort-node', `${name}: the worker thread ended (exit code ${code})`)));
  }

  /** Sends a request; rejects with the signal's reason at once on abort, and drops the late answer. */
  ask<T>(action: string, request: Readonly<Record<string, unknown>>, signal?: Abort): Promise<T> {
    if (this.#gone) return Promise.reject(this.#gone);
    signal?.throwIfAborted();
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      const aborted = (): void => reject(signal?.reason);
      signal?.addEventListener('abort', aborted, { once: true });
      const settle = <A>(then: (value: A) => void) => (value: A): void => {
        signal?.removeEventListener('abort', aborted);
        then(value);
      };
      this.#pending.set(id, { resolve: settle(resolve as (value: unknown) => void), reject: settle(reject) });
      this.#worker.ref();
      this.#worker.postMessage({ id, action, ...request });
    });
  }

  #settle({ id, result, error }: Answer): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker.unref();
    if (error === undefined) pending?.resolve(result);
    else pending?.reject(new BackendError('ort-node', `${this.name}: ${error}`));
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    for (const { reject } of this.#pending.values()) reject(this.#gone);
    this.#pending.clear();
  }

  /** Ends the thread after the request it is working on. Open requests reject with DisposedError. */
  async end(): Promise<void> {
    const release = this.#gone ? undefined : this.ask('release', {}).catch(() => undefined);
    this.#gone ??= new DisposedError(this.name);
    await release;
    await this.#worker.terminate();
  }
}
