import { EdiffiError, hasCode } from '@ediffi/core';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Where the command line reads and writes, so that tests can stand in for a terminal. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Streams and environment of one run. */
export interface Io {
  readonly out: Terminal;
  readonly err: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
}

/** A command that was called wrongly; printed as one line. */
export class UsageError extends EdiffiError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('UsageError', message, options);
  }

  static override isInstance(value: unknown): value is UsageError {
    return hasCode(value, 'UsageError');
  }
}

/** Exit codes: 0 done, 1 a bug, 2 bad input, 3 missing or damaged model files, 4 the runtime failed, 130 interrupted. */
export function exitCode(error: unknown): number {
  if (!EdiffiError.isInstance(error)) return 1;
  if (error.code === 'ModelError') return 3;
  return error.code === 'BackendError' || error.code === 'NonFiniteError' || error.code === 'DisposedError' ? 4 : 2;
}

/** A file's bytes. Rejects with UsageError naming the option. */
export async function readInput(path: string, option: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw new UsageError(`${option}: cannot read ${path} (${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'})`, { cause });
  }
}

/** Refuses a file that could not be written, before there is anything to write: rejects with UsageError unless its folder exists. */
export async function checkFolder(path: string, option: string): Promise<void> {
  const folder = dirname(path);
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) throw new UsageError(`${option}: there is no folder ${folder} — make it first`);
}

/** What an option that may be repeated says of the i-th of `count` others: one value is for all of them. Throws UsageError for another number of values. */
export function valueFor(values: readonly string[], i: number, option: string, count: number, others: string): string | undefined {
  if (values.length > 1 && values.length !== count) throw new UsageError(`${option}: expected one, or ${count} as there are ${others}, got ${values.length}`);
  return values.length === 1 ? values[0] : values[i];
}

/** A number typed on the command line. Throws UsageError. */
export function numberOption(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`${option}: expected a number, got ${JSON.stringify(text)}`);
  return value;
}
