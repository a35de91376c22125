// The sampler's sources as one module, without a build of the packages: for the scripts that measure solvers.
import { build } from 'esbuild';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const source = (path) => fileURLToPath(new URL(`../packages/${path}`, import.meta.url));

/** Everything `@ediffi/sampler`, `@ediffi/core` and `@ediffi/core/testing` export, and the guide's name tables. */
export async function sources() {
  const contents = ["export * from '@ediffi/core'; export * from '@ediffi/core/testing';", `export * from '${source('sampler/src/index.ts')}'; export { nameTables } from '${source('sampler/src/testing/name-tables.ts')}';`].join('\n');
  const result = await build({ stdin: { contents, resolveDir: source('sampler'), loader: 'ts' }, bundle: true, format: 'esm', target: 'es2022', platform: 'node', write: false, alias: { '@ediffi/core/testing': source('core/src/testing/index.ts'), '@ediffi/core': source('core/src/index.ts') } });
  const folder = mkdtempSync(join(tmpdir(), 'solvers-'));
  try {
    writeFileSync(join(folder, 'all.mjs'), result.outputFiles[0].text);
    return await import(pathToFileURL(join(folder, 'all.mjs')).href);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
