/* What a worker needs to open a model: bytes, buffers to move, session options. */
import { BackendError, ModelError, type Instrumentation, type LoadOptions, type ModelSource } from '@ediffi/core';
import type { Instrumented } from '../graph/instrument.js';
import type { SourceGraph } from './memory-graph.js';

/** A request for the worker's `create`. */
export interface Opening {
  readonly model: Uint8Array;
  readonly options: Readonly<Record<string, unknown>>;
  readonly transfer: readonly ArrayBuffer[];
  readonly changed?: Instrumented;
}

/** Whether a graph is to be changed before it is loaded. */
export const wantsInstruments = (options: Instrumentation | undefined): options is Instrumentation => Boolean(options?.regions || options?.maps || (options?.slices ?? 1) !== 1);

/** How a driver opens models. */
export interface OpeningOptions {
  graphOf(source: ModelSource): Promise<SourceGraph>;
  /** The runtime's session options, given the folder of the weights. */
  options(folder?: string): Readonly<Record<string, unknown>>;
  /** What the runtime would get wrong, said otherwise; the same bytes where there is nothing. */
  readonly mended?: ((bytes: Uint8Array, name: string) => Uint8Array) | undefined;
}

/** Reads, instruments and mends a graph. */
export async function opening(source: ModelSource, load: LoadOptions, { graphOf, options, mended }: OpeningOptions): Promise<Opening> {
  const transfer: ArrayBuffer[] = [];
  const owned = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => {
    const own = new Uint8Array(bytes); // the caller's stay valid; a copy that moves is one copy, a message would be two
    transfer.push(own.buffer);
    return own;
  };
  const { bytes: graph, folder, external } = await graphOf(source);
  // Graph surgery comes when it is first asked for: a page without regions never downloads it.
  const changed = wantsInstruments(load.instrument) ? (await import('../graph/instrument.js')).instrument(graph, load.instrument, source.name) : undefined;
  const plain = changed?.bytes ?? graph;
  const ready = mended?.(plain, source.name) ?? plain;
  const model = ready === graph ? owned(graph) : ready;
  if (ready !== graph) transfer.push(ready.buffer as ArrayBuffer);
  const externalData = external.map(({ path, data }) => ({ path, data: owned(data) }));
  return { model, options: { ...options(folder), logSeverityLevel: 3, ...(external.length && { externalData }) }, transfer, ...(changed && { changed }) };
}

/** ONNX Runtime's refusal to open a file, as the error that says whose fault it is. */
export function openError(error: unknown, source: ModelSource): unknown {
  if (!BackendError.isInstance(error)) return error;
  const damaged = /protobuf parsing failed|doesn't exist|no graph was found|external data|failed to load external|system error|invalid model|shapeinferenceerror|invalid_graph/i.test(error.message);
  return damaged ? new ModelError(`${error.message} — the file is missing, damaged or not what its graph says`, source.name, { cause: error }) : error;
}
