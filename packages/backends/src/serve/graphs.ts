/* The graphs of a server: loaded when they are first asked for, once for each way they are asked. */
import { ModelError, OptionError, type Backend, type Instrumentation, type MaybePromise, type ModelSource, type Session } from '@ediffi/core';
import { createHash } from 'node:crypto';
import { modelName } from '../remote.js';
import { queryOf } from '../remote/wire.js';
import { Refusal } from './http.js';

/** A graph that can run, and the hash of its file. */
export interface Loaded {
  readonly session: Session;
  readonly sha256: string;
}

/** A graph as it is asked for, plain or with regions or maps, and how many calls use it now. */
interface Variant {
  readonly name: string;
  readonly made: Promise<Loaded>;
  users: number;
}

/** Graphs by their `modelName`, of each the last `kept` variants. The constructor throws OptionError for two of one name. */
export class Graphs {
  readonly #sources = new Map<string, ModelSource>();
  readonly #variants = new Map<string, Variant>(); // the one unused longest first
  readonly #closing = new AbortController();

  constructor(
    readonly backend: Backend,
    sources: Iterable<ModelSource>,
    readonly kept: number,
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
    return [...this.#variants.values()].some((variant) => variant.name === name);
  }

  /** What `work` makes of a graph, which stays loaded meanwhile. Rejects with a Refusal for a name that is none, with the backend's errors, with those of `work`. */
  async use<T>(name: string, instrument: Instrumentation, work: (loaded: Loaded) => MaybePromise<T>): Promise<T> {
    const variant = this.#variant(name, instrument);
    variant.users++;
    try {
      return await work(await variant.made);
    } finally {
      variant.users--;
      await this.#trim(name);
    }
  }

  #variant(name: string, instrument: Instrumentation): Variant {
    const source = this.#sources.get(name);
    if (!source) throw new Refusal(404, `no model '${name}' — there are ${this.names.join(', ') || 'none'}`);
    const query = queryOf(instrument);
    const key = name + query;
    const known = this.#variants.get(key);
    const variant = known ?? { name, users: 0, made: Promise.all([this.backend.load(source, { signal: this.#closing.signal, ...(query && { instrument }) }), hashOf(source)]).then(([session, sha256]) => ({ session, sha256 })) };
    this.#variants.delete(key); // and to the end
    this.#variants.set(key, variant);
    if (!known) variant.made.catch(() => this.#variants.get(key) === variant && this.#variants.delete(key));
    return variant;
  }

  /** Frees what nobody uses of the variants of a graph that are too many. */
  async #trim(name: string): Promise<void> {
    const all = [...this.#variants].filter(([, variant]) => variant.name === name);
    const idle = all.filter(([, { users }]) => users === 0);
    for (const [key, variant] of idle.slice(0, Math.max(0, all.length - this.kept))) await this.#free(key, variant);
  }

  async #free(key: string, { made }: Variant): Promise<void> {
    this.#variants.delete(key);
    await made.then(({ session }) => session.dispose());
  }

  /** Takes a graph, and keeps nothing of one that cannot be opened. */
  async add(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#sources.has(name)) throw new Refusal(409, `there is a model '${name}' already`);
    this.#sources.set(name, { name, bytes: async () => bytes });
    await this.use(name, {}, () => undefined).catch((error: unknown) => {
      this.#sources.delete(name);
      throw error;
    });
  }

  /** Frees what is loaded of a graph; it loads again when it is asked for. */
  async release(name: string): Promise<void> {
    for (const [key, variant] of this.#variants) if (variant.name === name) await this.#free(key, variant);
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the server was closed'));
    for (const { made } of [...this.#variants.values()]) await made.then(({ session }) => session.dispose()).catch(() => undefined);
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
