import { fileURLToPath } from 'node:url';

/** Folder of the model that tests run on: $EDIFFI_MODEL, else the embedded one. Without weights the tests fail: nothing is skipped. */
export const embeddedFolder: string = process.env['EDIFFI_MODEL'] ?? fileURLToPath(new URL('../../../model/', import.meta.url));
