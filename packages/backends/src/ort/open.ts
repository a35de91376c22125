/* What the worker needs to open a model: bytes or a path, buffers to move, session options. */
import { BackendError, integer, ModelError, type Instrumentation, type LoadOptions, type ModelSource } from '@ediffi/core';
import { dirname } from 'node:path';
import { instrument, type Instrumented } from '../graph/instrument.js';
import { openModel } from '../graph/onnx.js';
import { verifiedBytes } from './source.js';

/** A request for the worker's `create`. */
export interface Opening {
  readonly model: string | Uint8Array;
  readonly options: Readonly<Record<string, unknown>>;
  readonly transfer: readonly ArrayBuffer[];
  readonly changed?: Instrumented;
}

/** Whether a graph is to be changed before it is loaded. */
export const wantsInstruments = (options: Instrumentation | undefined): options is Instrumentation => Boolean(options?.regions || options?.maps);

/** Reads, verifies and instruments. A plain file without hash is left to the runtime to read: its weights never pass through JavaScript. */
export async function opening(source: ModelSource, load: LoadOptions, defaults: { readonly threads?: number; readonly spinning?: boolean }): Promise<Opening> {
  const threads = integer('threads', load.threads ?? defaults.threads ?? 1, 1, 256);
  const transfer: ArrayBuffer[] = [];
  const owned = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
    const own = new Uint8Array(bytes); // the caller's stay valid; a copy that moves is one copy, a message would be two
    transfer.push(own.buffer);
    return own;
  };
  const external = [];
  for (const { path, bytes } of source.externalData ?? []) if (bytes) external.push({ path, data: owned(await bytes()) });

  let model: string | Uint8Array;
  let changed: Instrumented | undefined;
  if (wantsInstruments(load.instrument)) {
    changed = instrument(await verifiedBytes(source), load.instrument, source.name);
    model = changed.bytes;
    transfer.push(changed.bytes.buffer);
  } else if (source.path !== undefined && source.sha256 === undefined && !external.length) {
    model = source.path;
  } else {
    const bytes = await verifiedBytes(source);
    openModel(bytes, source.name); // a truncated file fails here, with a sentence that says so
    model = owned(bytes);
  }
  const folder = source.folder ?? (source.path === undefined ? undefined : dirname(source.path));
  const beside = typeof model !== 'string' && !external.length && folder !== undefined;
  const options = {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    ...(external.length && { externalData: external }),
    extra: { session: { intra_op: { allow_spinning: defaults.spinning ? '1' : '0' }, ...(beside && { model_external_initializers_file_folder_path: folder }) } },
  };
  return { model, options, transfer, ...(changed && { changed }) };
}

/** ONNX Runtime's refusal to open a file, as the error that says whose fault it is. */
export function openError(error: unknown, source: ModelSource): unknown {
  if (!BackendError.isInstance(error)) return error;
  const damaged = /protobuf parsing failed|doesn't exist|no graph was found|external data|failed to load external|system error|invalid model|shapeinferenceerror|invalid_graph/i.test(error.message);
  return damaged ? new ModelError(`${error.message} — the file is missing, damaged or not what its graph says`, source.name, { cause: error }) : error;
}
