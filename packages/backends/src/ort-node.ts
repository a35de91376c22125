/*
 * onnxruntime-node, one worker thread per session. Its `create` and `run` block the thread they are called on (measured: 0 timer ticks
 * in 650 ms), so the main thread only sends and receives: timers tick, an expert loads while another runs, abort answers at once.
 */
import { BackendError, cpu, integer, type Backend } from '@ediffi/core';
import { createRequire } from 'node:module';
import { ortBackend } from './ort/backend.js';
import { nodePort } from './ort/node-port.js';
import { opening } from './ort/open.js';
import { sourceGraph } from './ort/source-graph.js';
import { Thread } from './ort/thread.js';

export { weightFiles } from './ort/graph-file.js';
export { graphOutline, type GraphOutline } from './ort/outline.js';
export { withoutLayers } from './ort/without-layers.js';

/** Options of ortNode. */
export interface OrtNodeOptions {
  /** Threads inside one operator. Default 1: the same bytes on every machine, and experts that load do not fight those that run. */
  readonly threads?: number;
  /** Whether idle operator threads spin (faster on an idle machine, slower on a busy one). Default false. */
  readonly spinning?: boolean;
  /** Path of the onnxruntime-node module to use. Default: the one installed beside this package. */
  readonly runtime?: string;
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
export function ortNode({ threads = 1, spinning = false, runtime = locate() }: OrtNodeOptions = {}): Backend {
  return ortBackend({
    name: 'ort-node',
    device: cpu,
    opening: async (model, load) => {
      const intraOpNumThreads = integer('threads', load.threads ?? threads, 1, 256);
      const options = (folder?: string): Readonly<Record<string, unknown>> => ({
        executionProviders: ['cpu'],
        intraOpNumThreads,
        interOpNumThreads: 1,
        extra: { session: { intra_op: { allow_spinning: spinning ? '1' : '0' }, ...(folder !== undefined && { model_external_initializers_file_folder_path: folder }) } },
      });
      return opening(model, load, { graphOf: sourceGraph, options });
    },
    thread: (name) => new Thread((events) => nodePort(runtime, name, events), 'ort-node', name),
  });
}
