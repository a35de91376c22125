import { CapabilityError } from '@ediffi/core';
import type { CardFile } from './card.js';

/** What a file must be. */
export type Expected = Pick<CardFile, 'sha256' | 'bytes'>;

/** Where a model's files come from. */
export interface ModelFiles {
  readonly location: string;
  /** The bytes of a file; `expected` is what the card says of it. */
  read(path: string, expected?: Expected): Promise<Uint8Array>;
  /** The path on disk, where there is one. */
  path?(path: string): string;
}

/** SHA-256 in lower-case hexadecimal, by WebCrypto (Node and browsers alike). Rejects with CapabilityError where there is none. */
export async function sha256(data: Uint8Array): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) throw new CapabilityError('hash check', 'SHA-256 needs Web Crypto, which this page has not — serve it over https or from localhost');
  const digest = await subtle.digest('SHA-256', data as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
