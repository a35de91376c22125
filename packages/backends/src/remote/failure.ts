/* Errors of ours over the wire: what the server threw, the client throws. */
import { BackendError, CapabilityError, DisposedError, EdiffiError, ModelError, ShapeError } from '@ediffi/core';

/** The body of an error response; the protocol knows `error` alone. */
export interface Failure {
  readonly error: string;
  readonly code?: string;
  readonly expected?: string;
  readonly actual?: string;
}

/** An error as a body. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  if (ShapeError.isInstance(error)) return { error: message, code: error.code, expected: error.expected, actual: error.actual };
  return EdiffiError.isInstance(error) ? { error: message, code: error.code } : { error: message };
}

/** Status of an error: 400 for what the caller can mend, 500 for the rest. */
export const statusOf = (error: unknown): number => (EdiffiError.isInstance(error) && !BackendError.isInstance(error) && !DisposedError.isInstance(error) ? 400 : 500);

/** A body as the error it was. */
export function errorOf({ error, code, expected, actual }: Failure, model: string, where: string): EdiffiError {
  if (code === 'ModelError') return new ModelError(error, model);
  if (code === 'CapabilityError') return new CapabilityError('remote', error);
  if (code === 'ShapeError' && expected !== undefined && actual !== undefined) {
    const [what = model, rest = ''] = error.split(`: expected ${expected}, got ${actual}`);
    return new ShapeError(what, expected, actual, rest.replace(/^ — /, ''));
  }
  return new BackendError('remote', `${where}: ${error}`);
}
