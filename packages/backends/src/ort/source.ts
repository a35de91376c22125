import { ModelError, type ModelSource } from '@ediffi/core';
import { createHash } from 'node:crypto';

/** The bytes of a model, checked against its hash. Throws ModelError when they are missing, changed or cut off. */
export async function verifiedBytes(model: ModelSource): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await model.bytes();
  } catch (cause) {
    throw new ModelError(`${model.name}: cannot be read${model.path ? ` from ${model.path}` : ''} — reinstall or download it again`, model.name, { cause });
  }
  if (model.sha256 !== undefined) {
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (actual !== model.sha256) {
      throw new ModelError(`${model.name}: SHA-256 is ${actual.slice(0, 12)}…, the card says ${model.sha256.slice(0, 12)}… (${bytes.length} bytes) — the file is damaged or from another version`, model.name);
    }
  }
  return bytes;
}
