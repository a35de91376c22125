/*
 * onnxruntime-node, one worker thread per session. Its `create` and `run` block the thread they are called on (measured: 0 timer ticks
 * in 650 ms), so the main thread only sends and receives: timers tick, an expert loads while another runs, abort answers at once.
 */
import { BackendError, cpu, DisposedError, hostTensor, type Backend, type DataOf, type DType, type GraphSites, type LoadOptions, type ModelSource, type Session, type Tensor, type ValueInfo } from '@ediffi/core';
import { createRequire } from 'node:module';
import { instrument } from './graph/index.js';
import { parseModel } from './graph/onnx.js';
import { checkFeeds, describeFeeds } from './ort/feeds.js';
import { verifiedBytes } from './ort/source.js';
import { Thread } from './ort/thread.js';

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

/** A backend on onnxruntime-node's CPU provider. Throws BackendError when the runtime is not installed. */
export function ortNode(options: OrtNodeOptions = {}): Backend {
  const runtime = options.runtime ?? locate();
  const open = new Set<Session>();
  let disposed = false;
  return {
    name: 'ort-node',
    device: cpu,
    async load(model, load = {}) {
      if (disposed) throw new DisposedError('the ort-node backend');
      load.signal?.throwIfAborted();
      const session = await createSession(model, load, options, runtime, (closed) => open.delete(closed));
      open.add(session);
      return session;
    },
    async dispose() {
      disposed = true;
      await Promise.all([...open].map((session) => session.dispose()));
    },
  };
}

async function createSession(model: ModelSource, load: LoadOptions, options: OrtNodeOptions, runtime: string, closed: (session: Session) => void): Promise<Session> {
  let bytes = await verifiedBytes(model);
  let sites: GraphSites | undefined;
  if (load.instrument && (load.instrument.regions || load.instrument.maps)) ({ bytes, sites } = instrument(bytes, load.instrument, model.name));
  else parseModel(bytes, model.name); // a truncated file fails here, with a sentence that says so
  const thread = new Thread(runtime, model.name);
  const settings = {
    executionProviders: ['cpu'],
    intraOpNumThreads: load.threads ?? options.threads ?? 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: options.spinning ? '1' : '0' }, ...(model.folder && { model_external_initializers_file_folder_path: model.folder }) } },
  };
  let made: Made;
  try {
    made = await thread.ask<Made>('create', { model: bytes, options: settings }, load.signal);
  } catch (error) {
    void thread.end();
    throw error;
  }
  let ended: Promise<void> | undefined;
  const session: Session = {
    name: model.name,
    ...made,
    ...(sites && { sites }),
    async run(feeds, { signal } = {}) {
      if (ended) throw new DisposedError(model.name);
      checkFeeds('ort-node', model.name, made.inputs, feeds);
      const plain = await Promise.all(Object.entries(feeds).map(async ([name, t]) => [name, (await t.toHost()) as Plain] as const));
      const request = Object.fromEntries(plain.map(([name, { dtype, data, shape }]) => [name, { dtype, data, shape: [...shape] }]));
      const outputs = await thread.ask<Record<string, Plain>>('run', { feeds: request }, signal).catch((error: unknown) => {
        throw BackendError.isInstance(error) ? new BackendError('ort-node', error.message, describeFeeds(feeds), { cause: error }) : error;
      });
      return Object.fromEntries(Object.entries(outputs).map(([name, t]): [string, Tensor] => [name, hostTensor(t.data, t.shape, t.dtype)]));
    },
    dispose() {
      closed(session);
      return (ended ??= thread.end());
    },
  };
  return session;
}
