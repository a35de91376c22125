/* What the two browser backends share: the runtime's files, threads, sessions in Web Workers. */
import { cpu, integer, OptionError, type Backend } from '@ediffi/core';
import { ortBackend, type Kept } from './backend.js';
import { memoryGraph } from './memory-graph.js';
import { opening } from './open.js';
import { Thread } from './thread.js';
import { webPort } from './web-port.js';

/** Where the page serves ONNX Runtime from; nothing is fetched from elsewhere. */
export interface OrtWebOptions {
  /** URL of onnxruntime-web's module: `ort.wasm.bundle.min.mjs`, or `ort.webgpu.bundle.min.mjs` for WebGPU. Relative to the page. */
  readonly runtime: string | URL;
  /** URL of its WebAssembly: `ort-wasm-simd-threaded.wasm`, or `ort-wasm-simd-threaded.asyncify.wasm` for WebGPU. Default: beside `runtime`. */
  readonly wasm?: string | URL;
  /** Threads inside one operator, where the page is cross-origin isolated; elsewhere there is one. Default: half of the processors, at most 4. */
  readonly threads?: number;
}

interface Page {
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number };
  readonly document?: { readonly baseURI: string };
  readonly location?: { readonly href: string };
}

/** The threads that this page can have, and how to say it. */
export function threadsHere(wanted: number | undefined, page: Page = globalThis as Page): { readonly threads: number; readonly text: string } {
  if (wanted !== undefined) integer('threads', wanted, 1, 256);
  if (!page.crossOriginIsolated) return { threads: 1, text: `1 thread${wanted !== 1 ? ', for the page is not cross-origin isolated' : ''}` };
  const threads = wanted ?? Math.max(1, Math.min(4, Math.floor((page.navigator?.hardwareConcurrency ?? 2) / 2)));
  return { threads, text: `${threads} thread${threads === 1 ? '' : 's'}` };
}

function absolute(option: string, url: string | URL): string {
  const { document, location } = globalThis as Page;
  try {
    return new URL(url, document?.baseURI ?? location?.href).href; // a worker made from text has no place of its own to be relative to
  } catch {
    throw new OptionError(option, url, 'a URL of this page');
  }
}

/** How a provider keeps tensors in its worker. */
export interface Keeping {
  /** Source text of the worker's actions. */
  readonly source: string;
  device(id: string, thread: () => Promise<Thread>): Kept;
}

/** What a provider differs in. */
export interface WebDriver {
  readonly name: string;
  readonly provider: 'wasm' | 'webgpu';
  /** All sessions in one worker; the request for a session that it begins with. */
  readonly shared?: () => Readonly<Record<string, unknown>>;
  /** What the provider would get wrong in a graph, said otherwise. */
  readonly mended?: (bytes: Uint8Array, name: string) => Uint8Array;
  /** Tensors stay in that worker. */
  readonly keeping?: Keeping | undefined;
}

/** A backend on one execution provider of onnxruntime-web. */
export function webBackend({ name, provider, shared: first, mended, keeping }: WebDriver, options: OrtWebOptions): Backend {
  const { threads, text } = threadsHere(options.threads);
  if (options.runtime === undefined) throw new OptionError('runtime', options.runtime, `the URL of onnxruntime-web's ort.${provider}.bundle.min.mjs`);
  const files = { runtime: absolute('runtime', options.runtime), ...(options.wasm !== undefined && { wasm: absolute('wasm', options.wasm) }) };
  const id = `${provider}, ${text}`;
  const start = async (label: string): Promise<Thread> => {
    const thread = new Thread((events) => webPort(label, events, keeping?.source), name, label);
    try {
      await thread.ask('open', { ...files, threads });
      if (first) await thread.ask('create', first());
    } catch (error) {
      void thread.end();
      throw error;
    }
    return thread;
  };
  let one: Promise<Thread> | undefined;
  const single = (): Promise<Thread> => {
    one ??= start(name);
    one.catch(() => (one = undefined));
    return one;
  };
  // A worker that is gone is replaced when a model is next loaded. Its tensors went with it: asking for one, or freeing it, starts no other.
  const living = async (): Promise<Thread> => {
    const known = one;
    const thread = await known;
    if (thread?.gone && one === known) {
      one = undefined;
      void thread.end();
    }
    return single();
  };
  const kept = keeping?.device(id, single);
  return ortBackend({
    name,
    device: kept ?? { ...cpu, id },
    ...(kept && { kept }),
    opening: (model, load) => opening(model, load, { graphOf: memoryGraph, options: () => ({ executionProviders: [provider], ...(kept && { preferredOutputLocation: 'gpu-buffer' }) }), mended }),
    thread: (label) => (first ? living() : start(label)),
    shared: first !== undefined,
    end: async () => (await one?.catch(() => undefined))?.end(),
  });
}
