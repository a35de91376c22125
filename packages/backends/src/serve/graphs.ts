/* The graphs of a server: loaded when they are first asked for, once for each way they are asked. */
import { ModelError, OptionError, type Backend, type Instrumentation, type ModelSource, type Session } from '@ediffi/core';
import { createHash } from 'node:crypto';
import { modelName } from '../remote.js';
import { queryOf } from '../remote/wire.js';
import { Refusal } from './http.js';

/** A graph that can run, and the hash of its file. */
export interface Loaded {
  readonly session: Session;
  readonly sha256: string;
}

/** Graphs by their `modelName`. The constructor throws OptionError for two of one name. */
export class Graphs {
  readonly #sources = new Map<string, ModelSource>();
  readonly #loaded = new Map<string, Promise<Loaded>>();
  readonly #closing = new AbortController();

  constructor(
    readonly backend: Backend,
    sources: Iterable<ModelSource>,
  ) {
    for (const source of sources) {
      const name = modelName(source);
      if (this.#sources.has(name)) throw new OptionError('graphs', `two of the name ${name}`, 'names of their own');
      this.#sources.set(name, source);
    }
  }

  get names(): string[] {
    return [...this.#sources.keys()];
  }

  isLoaded(name: string): boolean {
    return this.#loaded.has(name);
  }

  /** Rejects with a Refusal for a name that is none, with the backend's errors. */
  async load(name: string, instrument: Instrumentation = {}): Promise<Loaded> {
    const source = this.#sources.get(name);
    if (!source) throw new Refusal(404, `no model '${name}' — there are ${this.names.join(', ') || 'none'}`);
    const query = queryOf(instrument);
    const known = this.#loaded.get(name + query);
    if (known) return known;
    const made = Promise.all([this.backend.load(source, { signal: this.#closing.signal, ...(query && { instrument }) }), hashOf(source)]).then(([session, sha256]) => ({ session, sha256 }));
    this.#loaded.set(name + query, made);
    made.catch(() => this.#loaded.delete(name + query));
    return made;
  }

  /** Takes a graph, and keeps nothing of one that cannot be opened. */
  async add(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#sources.has(name)) throw new Refusal(409, `there is a model '${name}' already`);
    this.#sources.set(name, { name, bytes: async () => bytes });
    await this.load(name).catch((error: unknown) => {
      this.#sources.delete(name);
      throw error;
    });
  }

  /** Frees what is loaded of a graph; it loads again when it is asked for. */
  async release(name: string): Promise<void> {
    for (const [key, made] of this.#loaded) {
      if (key !== name && !key.startsWith(`${name}?`)) continue;
      this.#loaded.delete(key);
      await made.then(({ session }) => session.dispose());
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the server was closed'));
    for (const made of [...this.#loaded.values()]) await made.then(({ session }) => session.dispose()).catch(() => undefined);
  }
}

async function hashOf(source: ModelSource): Promise<string> {
  if (source.sha256 !== undefined) return source.sha256; // the backend checks it
  try {
    return createHash('sha256').update(await source.bytes()).digest('hex');
  } catch (cause) {
    throw new ModelError(`${source.name}: cannot be read`, source.name, { cause });
  }
}
