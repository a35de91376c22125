import { BackendError, DisposedError, type Abort } from '@ediffi/core';
import type { Answer, Port, PortEvents } from './port.js';

interface Call {
  readonly message: Readonly<Record<string, unknown>>;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * A worker that answers requests in order. One request at a time is with the worker, the others wait here, so that an aborted
 * one that has not begun is never computed, and WebGPU never sees two calls at once.
 */
export class Thread {
  readonly #port: Port;
  #active: Call | undefined;
  #waiting: Call[] = [];
  #gone: Error | undefined;
  #ended: Promise<void> | undefined;

  constructor(
    open: (events: PortEvents) => Port,
    readonly backend: string,
    readonly name: string,
  ) {
    this.#port = open({
      answer: (answer) => this.#settle(answer),
      gone: (why, cause) => this.#fail(new BackendError(backend, `${name}: ${why} — load the model again`, {}, { cause })),
    });
  }

  /** Whether it answers nothing any more. */
  get gone(): boolean {
    return this.#gone !== undefined;
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

  /** Rejects what is open with DisposedError, lets the worker finish its request, and ends the thread. Idempotent. */
  end(): Promise<void> {
    return (this.#ended ??= this.#finish());
  }

  async #finish(): Promise<void> {
    if (!this.#gone) {
      const disposed = new DisposedError(this.name);
      for (const call of [...(this.#active ? [this.#active] : []), ...this.#waiting]) call.reject(disposed);
      this.#waiting = [];
      const released = this.ask('end').catch(() => undefined);
      this.#gone = disposed;
      await released;
    }
    await this.#port.end();
  }

  #advance(): void {
    if (this.#active) return;
    this.#active = this.#waiting.shift();
    this.#port.busy(this.#active !== undefined);
    if (this.#active) this.#port.post(this.#active.message, this.#active.transfer);
  }

  #settle({ result, error, lost }: Answer): void {
    if (lost !== undefined) return this.#fail(new BackendError(this.backend, `${this.name}: ${lost}`));
    const call = this.#active;
    this.#active = undefined;
    if (error === undefined) call?.resolve(result);
    else call?.reject(new BackendError(this.backend, `${this.name}: ${error}`));
    this.#advance();
  }

  #fail(error: Error): void {
    this.#gone ??= error;
    const open = [...(this.#active ? [this.#active] : []), ...this.#waiting];
    [this.#active, this.#waiting] = [undefined, []];
    for (const call of open) call.reject(error);
  }
}
