import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const packaged = fileURLToPath(new URL('../../../model/', import.meta.url));

/** Folder of the embedded model for tests: $EDIFFI_MODEL, else packages/model; undefined while that has no weights yet. */
export const embeddedFolder: string | undefined = process.env['EDIFFI_MODEL'] ?? (existsSync(`${packaged}card.json`) && existsSync(`${packaged}weights`) ? packaged : undefined);

/** Why tests on the embedded model do not run, printed once by each file that skips them. */
export function reportSkip(file: string): void {
  if (embeddedFolder === undefined) console.warn(`SKIPPED ${file}: packages/model has no card.json and weights/ yet — set EDIFFI_MODEL to an export`);
}
