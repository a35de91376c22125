import { ModelError } from '@ediffi/core';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { insidePath, missingFile, type ModelFiles } from './model-files.js';

/** The files of a folder on disk. Rejects with ModelError when there is no such folder. */
export async function folderFiles(folder: string): Promise<ModelFiles> {
  const root = resolve(folder);
  const found = await stat(root).catch(() => undefined);
  if (!found?.isDirectory()) throw new ModelError(`${folder}: ${found ? 'a file, not a folder' : 'no such folder'} — give the folder that holds model_index.json`, folder);
  const isFile = async (path: string): Promise<boolean> => (await stat(join(root, insidePath(path, root))).catch(() => undefined))?.isFile() ?? false;
  const list = async (): Promise<string[]> => {
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const paths = entries.map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'));
    const files = await Promise.all(paths.map(isFile)); // links count as what they lead to
    return paths.filter((_, i) => files[i]).sort();
  };
  const path = async (file: string): Promise<string> => {
    if (!(await isFile(file))) throw missingFile(file, await list(), root);
    return join(root, file);
  };
  return { location: root, list, has: isFile, path, read: async (file) => readFile(await path(file)) };
}
