/*
 * onnxruntime-node, one worker thread per session. Its `create` and `run` block the thread they are called on (measured: 0 timer ticks
 * in 650 ms), so the main thread only sends and receives: timers tick, an expert loads while another runs, abort answers at once.
 */
import { BackendError, cpu, DisposedError, hostTensor, type Backend, type DataOf, type DType, type LoadOptions, type ModelSource, type Session, type Tensor, type ValueInfo } from '@ediffi/core';
import { createRequire } from 'node:module';
import { checkFeeds, describeFeeds } from './ort/feeds.js';
import { opening, openError } from './ort/open.js';
import { abortable } from './ort/source.js';
import { Thread } from './ort/thread.js';

export { weightFiles } from './ort/graph-file.js';

/** Options of ortNode. */
export interface OrtNodeOptions {
  /** Threads inside one operator. Default 1: the same bytes on every machine, and experts that load do not fight those that run. */
  readonly threads?: number;
  /** Whether idle operator threads spin (faster on an idle machine, slower on a busy one). Default false. */
  readonly spinning?: boolean;
  /** Path of the onnxruntime-node module to use. Default: the one installed beside this package. */
  readonly runtime?: string;
}

interface Made {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

interface Plain {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: DataOf[DType];
}

function locate(): string {
  try {
    return createRequire(import.meta.url).resolve('onnxruntime-node');
  } catch (cause) {
    throw new BackendError('ort-node', 'onnxruntime-node is not installed — add it to your project (behind a proxy: ONNXRUNTIME_NODE_INSTALL=skip npm i onnxruntime-node)', {}, { cause });
  }
}

/**
 * A backend on onnxruntime-node's CPU provider. Throws BackendError when the runtime is not installed. `load` rejects with ModelError for
 * files that are missing, damaged or of another hash, CapabilityError for graphs that cannot be instrumented, the signal's reason on abort.
 */
export function ortNode(options: OrtNodeOptions = {}): Backend {
  const runtime = options.runtime ?? locate();
  const open = new Set<Session>();
  const loading = new Set<Promise<Session>>();
  let disposed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await Promise.allSettled(loading);
    await Promise.all([...open].map((session) => session.dispose()));
  };
  return {
    name: 'ort-node',
    device: cpu,
    async load(model, load = {}) {
      if (disposed) throw new DisposedError('the ort-node backend');
      load.signal?.throwIfAborted();
      const made = createSession(model, load, options, runtime, (session) => open.delete(session)).then((session) => {
        open.add(session);
        if (!disposed && !load.signal?.aborted) return session;
        void session.dispose();
        throw new DisposedError('the ort-node backend');
      });
      loading.add(made);
      made.catch(() => undefined).finally(() => loading.delete(made));
      return abortable(made, load.signal);
    },
    dispose: () => (disposed ??= close()),
  };
}

async function createSession(model: ModelSource, load: LoadOptions, defaults: OrtNodeOptions, runtime: string, closed: (session: Session) => void): Promise<Session> {
  const { transfer, changed, ...request } = await opening(model, load, defaults);
  load.signal?.throwIfAborted();
  const thread = new Thread(runtime, model.name);
  const made = await thread.ask<Made>('create', request, transfer, load.signal).catch((error: unknown) => {
    void thread.end();
    throw openError(error, model);
  });
  let ended = false;
  const session: Session = {
    name: model.name,
    ...made,
    ...(changed && { sites: changed.sites }),
    async run(feeds, { signal } = {}) {
      if (ended) throw new DisposedError(model.name);
      checkFeeds('ort-node', model.name, made.inputs, feeds, changed);
      const copies: Record<string, Plain> = {};
      const moved: ArrayBuffer[] = [];
      for (const [name, tensor] of Object.entries(feeds)) {
        const { dtype, shape, data } = await tensor.toHost();
        const copy = data.slice(); // one copy that moves to the worker; the caller's stays valid
        copies[name] = { dtype, shape: [...shape], data: copy };
        moved.push(copy.buffer);
      }
      const outputs = await thread.ask<Record<string, Plain>>('run', { feeds: copies }, moved, signal).catch((error: unknown) => {
        throw BackendError.isInstance(error) ? new BackendError('ort-node', error.message, describeFeeds(feeds), { cause: error }) : error;
      });
      return Object.fromEntries(Object.entries(outputs).map(([name, t]): [string, Tensor] => [name, hostTensor(t.data, t.shape, t.dtype)]));
    },
    dispose() {
      ended = true;
      closed(session);
      return thread.end();
    },
  };
  return session;
}
