import type { ModelSource } from '@ediffi/core';
import { skipLayers } from '../graph/skip-layers.js';
import { editedSource } from './memory-graph.js';
import { sourceGraph } from './source-graph.js';

/**
 * A text encoder's graph without its last `count` layers, the final norm kept; the file on disk is never written. Rejects with CapabilityError for a
 * graph whose layers are not found, or that has fewer.
 */
export async function withoutLayers(source: ModelSource, count: number): Promise<ModelSource> {
  const graph = await sourceGraph(source);
  const bytes = skipLayers(graph.bytes, count, source.name);
  return editedSource(source, graph, `without its last ${count} layers`, () => Promise.resolve(bytes));
}
