import { ModelError } from '@ediffi/core';

/** The files of one model: a folder, a repository of a hub at one commit, or bytes in memory. Paths are relative, with '/' between folders. */
export interface ModelFiles {
  /** Where they come from, for messages; never holds a token. */
  readonly location: string;
  /** Every path, sorted. */
  list(): Promise<readonly string[]>;
  has(path: string): Promise<boolean>;
  /** The bytes of a file, verified where its source knows a hash. Rejects with ModelError when it is missing or damaged. */
  read(path: string): Promise<Uint8Array>;
  /** Where the file is on disk, fetched first if need be: what large weights are read from. Absent where there is no disk. */
  path?(path: string): Promise<string>;
}

/** Whether these are files opened already, not bytes by path. */
export const isFiles = (source: object): source is ModelFiles => typeof (source as ModelFiles).read === 'function' && typeof (source as ModelFiles).list === 'function';

/** A path that stays inside the model; throws ModelError for one that is empty, absolute, or climbs out. */
export function insidePath(path: string, location: string): string {
  const parts = path.split('/');
  const climbs = path === '' || parts.some((part) => part === '' || part === '.' || part === '..') || /[\\\0]|^[A-Za-z]:/.test(path);
  if (climbs) throw new ModelError(`${location}: ${JSON.stringify(path)} is no path inside a model — give it relative, with '/' between folders, without '..'`, path);
  return path;
}

/** The error for a file that is not there; names those in the same folder. */
export function missingFile(path: string, files: readonly string[], location: string): ModelError {
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  const beside = files.filter((file) => file.startsWith(folder) && !file.slice(folder.length).includes('/'));
  const known = beside.length ? `${folder || 'it'} has ${beside.slice(0, 12).join(', ')}${beside.length > 12 ? ', …' : ''}` : folder ? `there is no folder ${folder}` : 'it has no files at its top';
  return new ModelError(`${path}: not in ${location} — ${known}`, path);
}
