import { createBackend } from '@ediffi/backends/auto';
import { serve } from '@ediffi/backends/serve';
import type { ModelSource } from '@ediffi/core';
import { loadModel } from '@ediffi/model';
import { filesOf, graphSource } from '../sources/index.js';
import { numberOption, UsageError, type Io } from './io.js';
import { isOwnModel } from './model.js';

/** Options of `ediffi serve` as typed. */
export interface ServeArguments {
  readonly model?: string;
  readonly port: string;
  readonly host: string;
  readonly threads?: string;
  readonly origin?: readonly string[];
  readonly uploads?: boolean;
  readonly offline?: boolean;
}

/** `ediffi serve`: the graphs of a model for `--server` and `remote`, until it is interrupted. The token is $EDIFFI_TOKEN, where there is one. */
export async function serveCommand(typed: ServeArguments, io: Io): Promise<void> {
  const graphs = await graphsOf(typed);
  const token = io.env['EDIFFI_TOKEN'];
  const backend = await createBackend(typed.threads === undefined ? {} : { threads: numberOption(typed.threads, '--threads') });
  try {
    const server = await serve(backend, graphs, { port: numberOption(typed.port, '--port'), host: typed.host, ...(token && { token }), ...(typed.origin && { origins: typed.origin }), ...(typed.uploads && { uploads: true }) });
    io.out.write(`${server.models.length} graphs at ${server.url}: ${server.models.join(', ')}${token ? ' (for those who know $EDIFFI_TOKEN)' : ''}\n`);
    await new Promise<void>((resolve) => (io.signal?.aborted ? resolve() : io.signal?.addEventListener('abort', () => resolve(), { once: true })));
    await server.close();
  } finally {
    await backend.dispose();
  }
}

/** Every graph of the embedded model, of a folder like it, or of a folder or hub repository of ONNX files. */
async function graphsOf({ model, offline }: ServeArguments): Promise<ModelSource[]> {
  if (await isOwnModel(model)) return (await loadModel(model === undefined ? {} : { folder: model })).graphs();
  const files = await filesOf(model!, offline ? { offline } : {});
  const graphs = (await files.list()).filter((path) => path.endsWith('.onnx'));
  if (graphs.length === 0) throw new UsageError(`--model: ${files.location} holds no .onnx files`);
  return Promise.all(graphs.map((path) => graphSource(files, path)));
}
