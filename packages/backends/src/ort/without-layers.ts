import type { ModelSource } from '@ediffi/core';
import { skipLayers } from '../graph/skip-layers.js';
import { sourceGraph } from './source-graph.js';

/**
 * A text encoder's graph without its last `count` layers, the final norm kept; the file on disk is never written. Rejects with CapabilityError for a
 * graph whose layers are not found, or that has fewer.
 */
export async function withoutLayers(source: ModelSource, count: number): Promise<ModelSource> {
  const graph = await sourceGraph(source);
  const bytes = skipLayers(graph.bytes, count, source.name);
  const { sha256: _, path: __, bytes: ___, ...rest } = source;
  const edited = [source.edited, `without its last ${count} layers`].filter(Boolean).join(', ');
  return { ...rest, edited, ...(graph.folder !== undefined && { folder: graph.folder }), bytes: () => Promise.resolve(bytes) };
}
