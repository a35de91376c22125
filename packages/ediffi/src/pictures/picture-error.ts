import { EdiffiError, hasCode } from '@ediffi/core';

/** A picture that cannot be read; `what` says which one (image, mask, canvas, style). */
export class PictureError extends EdiffiError {
  readonly what: string;

  constructor(what: string, message: string, options?: { cause?: unknown }) {
    super('PictureError', `${what}: ${message}`, options);
    this.what = what;
  }

  static override isInstance(value: unknown): value is PictureError {
    return hasCode(value, 'PictureError');
  }
}
