import type { Backend, Instrumentation, MaybePromise, ModelSource, Session } from '@ediffi/core';

interface Entry {
  readonly loading: Promise<Session>;
  users: number;
}

/** Loads each graph once for everyone who uses it (an ensemble and its variants), and releases it with the last user. */
export class SharedLoads {
  readonly #entries = new Map<string, Entry>();

  constructor(
    readonly source: (file: string) => MaybePromise<ModelSource>,
    readonly backend: Backend,
    readonly threads?: number,
  ) {}

  /** A session of its own dispose(), over a shared graph. */
  async session(file: string, instrument?: Instrumentation): Promise<Session> {
    const key = `${file} ${JSON.stringify(instrument ?? {})}`;
    const entry = this.#entries.get(key) ?? this.#load(key, file, instrument);
    entry.users++;
    const session = await entry.loading;
    let open = true;
    const dispose = async (): Promise<void> => {
      if (!open) return;
      open = false;
      if (--entry.users > 0) return;
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      await session.dispose();
    };
    const { name, inputs, outputs, device, sites } = session;
    return { name, inputs, outputs, ...(device && { device }), ...(sites && { sites }), run: (feeds, options) => session.run(feeds, options), dispose };
  }

  #load(key: string, file: string, instrument?: Instrumentation): Entry {
    const options = { ...(this.threads !== undefined && { threads: this.threads }), ...(instrument && { instrument }) };
    const loading = Promise.resolve(this.source(file)).then((source) => this.backend.load(source, options));
    const entry: Entry = { loading, users: 0 };
    this.#entries.set(key, entry);
    loading.catch(() => this.#entries.get(key) === entry && this.#entries.delete(key));
    return entry;
  }
}
