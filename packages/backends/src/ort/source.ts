import { ModelError, sha256, type Abort, type ModelSource } from '@ediffi/core';

/** `work`, or a rejection with the signal's reason as soon as it aborts. */
export function abortable<T>(work: Promise<T>, signal: Abort | undefined): Promise<T> {
  if (!signal) return work;
  if (signal.aborted) {
    work.catch(() => undefined);
    return Promise.reject(signal.reason);
  }
  return new Promise<T>((resolve, reject) => {
    const aborted = (): void => reject(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}

/** The bytes of a model, checked against its hash off the JavaScript thread. Throws ModelError when they are missing or changed. */
export async function verifiedBytes(model: ModelSource): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await model.bytes();
  } catch (cause) {
    if (ModelError.isInstance(cause)) throw cause;
    throw new ModelError(`${model.name}: cannot be read${model.path ? ` from ${model.path}` : ''} — reinstall or download it again`, model.name, { cause });
  }
  if (model.sha256 === undefined) return bytes;
  const actual = await sha256(bytes, model.name);
  if (actual !== model.sha256) {
    throw new ModelError(`${model.name}: SHA-256 is ${actual.slice(0, 12)}…, expected ${model.sha256.slice(0, 12)}… (${bytes.length} bytes) — the file is damaged or from another version`, model.name);
  }
  return bytes;
}
