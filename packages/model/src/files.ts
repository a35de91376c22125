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
