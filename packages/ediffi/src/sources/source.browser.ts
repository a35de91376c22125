import { OptionError } from '@ediffi/core';
import { hubFiles } from './hub/hub.js';
import type { HubOptions } from './hub/options.js';
import { memoryFiles } from './memory.js';
import { isFiles, type ModelFiles } from './model-files.js';
import { urlFiles } from './url.js';

/** Where a model may come from: a URL below which its folder is served, a hub id, bytes by path, or files opened already. */
export type FilesSource = string | URL | Readonly<Record<string, Uint8Array>> | ModelFiles;

/**
 * The files of a model, in a page. A string is a URL when it is written as one (`https://…`, `/x`, `./x`, `../x`), else a hub id. Rejects with ModelError for what
 * is not there, OptionError for what is neither.
 */
export async function filesOf(source: FilesSource, options: HubOptions = {}): Promise<ModelFiles> {
  if (source instanceof URL) return urlFiles(source, options);
  if (typeof source === 'object' && source !== null) return isFiles(source) ? source : memoryFiles(source);
  if (typeof source !== 'string' || source === '') throw new OptionError('source', source, 'a URL, a hub id, or bytes by path');
  return /^(\.{0,2}\/|\.{1,2}$|[a-z][a-z0-9+.-]*:)/i.test(source) ? urlFiles(source, options) : hubFiles(source, options);
}
