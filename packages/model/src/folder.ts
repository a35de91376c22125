import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelFiles } from './files.js';

/** The files of a folder on disk. Default: $EDIFFI_MODEL, else this package's own folder. */
export function folderFiles(folder?: string | URL): ModelFiles {
  const chosen = folder ?? process.env['EDIFFI_MODEL'] ?? new URL('..', import.meta.url);
  const root = chosen instanceof URL ? fileURLToPath(chosen) : chosen;
  const path = (file: string): string => join(root, ...file.split('/'));
  return { location: root, path, read: (file) => readFile(path(file)) };
}
