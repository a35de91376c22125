import { OptionError } from '@ediffi/core';
import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { folderFiles } from './folder.js';
import { hubFiles } from './hub/hub.js';
import type { HubOptions } from './hub/options.js';
import { memoryFiles } from './memory.js';
import { isFiles, type ModelFiles } from './model-files.js';

/** Where a model may come from: a folder, a hub id (`org/name`, `org/name@revision`), bytes by path, or files opened already. */
export type FilesSource = string | URL | Readonly<Record<string, Uint8Array>> | ModelFiles;

/**
 * The files of a model. A string is a folder when there is one of that name or when it is written as a path (`./x`, `/x`, `~/x`), else
 * a hub id. Rejects with ModelError for what is not there, OptionError for what is neither.
 */
export async function filesOf(source: FilesSource, options: HubOptions = {}): Promise<ModelFiles> {
  if (source instanceof URL) return folderFiles(fileURLToPath(source));
  if (typeof source === 'object' && source !== null) return isFiles(source) ? source : memoryFiles(source);
  if (typeof source !== 'string' || source === '') throw new OptionError('source', source, 'a folder, a hub id, or bytes by path');
  const path = source.replace(/^~(?=$|[\\/])/, homedir());
  if (/^(\.{0,2}[\\/]|\.{1,2}$|~|[A-Za-z]:[\\/])/.test(source)) return folderFiles(path);
  const found = await stat(path).catch(() => undefined);
  return found ? folderFiles(path) : hubFiles(source, options);
}
