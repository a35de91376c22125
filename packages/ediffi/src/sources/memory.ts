import { insidePath, missingFile, type ModelFiles } from './model-files.js';

/** Files given as bytes by path. Throws ModelError for paths that leave the model. */
export function memoryFiles(files: Readonly<Record<string, Uint8Array>>, location = 'the given files'): ModelFiles {
  const known = new Map(Object.entries(files).map(([path, bytes]) => [insidePath(path, location), bytes]));
  const paths = [...known.keys()].sort();
  return {
    location,
    list: async () => paths,
    has: async (path) => known.has(path),
    async read(path) {
      const bytes = known.get(path);
      if (!bytes) throw missingFile(path, paths, location);
      return bytes;
    },
  };
}
