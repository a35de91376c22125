/* A source's graph with its weights in memory: no file system needed. */
import type { ModelSource } from '@ediffi/core';
import { checkExtent, externalTensors, type ExternalTensor } from '../graph/external.js';
import { verifiedBytes } from './source.js';

/** A checked graph. */
export interface SourceGraph {
  readonly bytes: Uint8Array;
  /** Where its weights are, unless they are inside or in memory. */
  readonly folder?: string;
  /** Files of weights in memory, by the name that the graph has for them. */
  readonly external: readonly { readonly path: string; readonly data: Uint8Array }[];
  /** The bytes of weights that lie outside the graph. */
  read(tensor: ExternalTensor): Promise<Uint8Array>;
}

/** Files of weights that the source gives as bytes. */
export async function externalOf(source: ModelSource): Promise<SourceGraph['external']> {
  const external: { readonly path: string; readonly data: Uint8Array }[] = [];
  for (const { path, bytes } of source.externalData ?? []) if (bytes) external.push({ path, data: await bytes() });
  return external;
}

/** Reads and checks a graph whose weights are inside or in memory. A truncated file fails here, with a ModelError that says so. */
export async function memoryGraph(source: ModelSource): Promise<SourceGraph> {
  return withExternal(await verifiedBytes(source), await externalOf(source), source.name);
}

/** A graph with the files of its weights. Throws ModelError when one is missing or cut off. */
export function withExternal(bytes: Uint8Array, external: SourceGraph['external'], name: string): SourceGraph {
  const dataOf = (tensor: ExternalTensor): Uint8Array | undefined => external.find((file) => file.path === tensor.location)?.data;
  for (const tensor of externalTensors(bytes, name)) checkExtent(tensor, dataOf(tensor)?.length, name);
  return { bytes, external, read: async (tensor) => dataOf(tensor)!.subarray(tensor.offset, tensor.offset + tensor.length) };
}

/** `source` with other bytes: no file and no hash of its own any more, its external data where they were, and `edit` added to what was done to it. */
export function editedSource(source: ModelSource, { folder }: SourceGraph, edit: string, bytes: ModelSource['bytes']): ModelSource {
  const { sha256: _, path: __, bytes: ___, ...rest } = source;
  return { ...rest, edited: [source.edited, edit].filter(Boolean).join(', '), ...(folder !== undefined && { folder }), bytes };
}
