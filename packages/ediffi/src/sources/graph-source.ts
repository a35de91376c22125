import { externalFiles } from '@ediffi/backends';
import { weightFiles } from '@ediffi/backends/ort-node';
import type { ModelSource } from '@ediffi/core';
import { dirname } from 'node:path';
import type { ModelFiles } from './model-files.js';

/**
 * A graph of a model, ready for a backend, the files of its weights with it: from disk where there is one (weights never pass through
 * JavaScript), else from memory. Rejects with ModelError for what is missing, cut off, or names files outside its folder.
 */
export async function graphSource(files: ModelFiles, path: string): Promise<ModelSource> {
  const beside = (location: string): string => path.slice(0, path.lastIndexOf('/') + 1) + location;
  if (!files.path) {
    const bytes = await files.read(path);
    return { name: path, bytes: async () => bytes, externalData: externalFiles(bytes, path).map((location) => ({ path: location, bytes: () => files.read(beside(location)) })) };
  }
  const disk = await files.path(path);
  for (const location of await weightFiles(disk, path)) await files.path(beside(location));
  return { name: path, path: disk, folder: dirname(disk), bytes: () => files.read(path) };
}
