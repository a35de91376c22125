import { ModelError } from '@ediffi/core';

/** Where a model's files come from. */
export interface ModelFiles {
  readonly location: string;
  read(path: string): Promise<Uint8Array>;
  /** The path on disk, where there is one. */
  path?(path: string): string;
}

/** The files of a folder on disk (Node). Default: $EDIFFI_MODEL, else this package's own folder. */
export async function files(folder?: string | URL): Promise<ModelFiles> {
  if (typeof process === 'undefined' || !process.versions?.node) {
    throw new ModelError('loadModel: there is no file system here — give { fetch: (path) => Promise<Uint8Array> }', 'card.json');
  }
  const [{ readFile }, { join }, { fileURLToPath }] = await Promise.all([import('node:fs/promises'), import('node:path'), import('node:url')]);
  const chosen = folder ?? process.env['EDIFFI_MODEL'] ?? new URL('..', import.meta.url);
  const root = chosen instanceof URL ? fileURLToPath(chosen) : chosen;
  const path = (file: string): string => join(root, ...file.split('/'));
  return { location: root, path, read: (file) => readFile(path(file)) };
}

/** SHA-256 in lower-case hexadecimal, by WebCrypto (Node and browsers alike). */
export async function sha256(data: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', data as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
