import { externalFiles } from '@ediffi/backends/graph';
import type { ModelSource } from '@ediffi/core';
import type { ModelFiles } from './model-files.js';

/** A graph of a model, ready for a backend, the files of its weights with it. Rejects with ModelError for what is missing, cut off, or names files outside its folder. */
export async function graphSource(files: ModelFiles, path: string): Promise<ModelSource> {
  const bytes = await files.read(path);
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  return { name: path, bytes: async () => bytes, externalData: externalFiles(bytes, path).map((location) => ({ path: location, bytes: () => files.read(folder + location) })) };
}
