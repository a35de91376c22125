/* A source's graph, wherever it is, its weights left where they are. */
import { ModelError, type ModelSource } from '@ediffi/core';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { externalTensors, type ExternalTensor } from '../graph/external.js';
import { readGraphFile } from './graph-file.js';
import { externalOf, withExternal, type SourceGraph } from './memory-graph.js';
import { verifiedBytes } from './source.js';
import { placed } from './weights.js';

/** Reads and checks a graph. What lies on disk and has no hash to compare is read without its weights. Rejects with ModelError. */
export async function sourceGraph(source: ModelSource): Promise<SourceGraph> {
  const { name, path, sha256 } = source;
  const external = await externalOf(source);
  const folder = source.folder ?? (path === undefined ? undefined : dirname(path));
  if (path !== undefined && sha256 === undefined && !external.length) return onDisk(await readGraphFile(path, folder!, name));
  const bytes = await verifiedBytes(source);
  if (!external.length && folder !== undefined && externalTensors(bytes, name).length) return onDisk(await placed(new Uint8Array(bytes), folder, name));
  return withExternal(bytes, external, name);
}

function onDisk({ bytes, folder }: { readonly bytes: Uint8Array; readonly folder: string }): SourceGraph {
  const read = async ({ name, location, offset, length }: ExternalTensor): Promise<Uint8Array> => {
    const file = await open(join(folder, location));
    try {
      const out = new Uint8Array(length);
      let at = 0;
      for (let count = 1; count && at < length; at += count) count = (await file.read(out, at, length - at, offset + at)).bytesRead;
      if (at < length) throw new ModelError(`'${name}' ends at byte ${offset + length} of ${location}, which ends before — the file was cut off meanwhile`, location);
      return out;
    } finally {
      await file.close();
    }
  };
  return { bytes, folder, external: [], read };
}
