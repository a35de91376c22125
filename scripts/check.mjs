// Everything that can be checked without running the product: types (sources without DOM or Node where the house forbids them, then
// tests), boundaries, docblocks, lint. Prints one line per check; exit code 1 if any failed.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const bin = (name, path) => join(dirname(require.resolve(`${name}/package.json`)), path);
const tsc = bin('typescript', 'bin/tsc');

const checks = [
  ...['core', 'sampler', 'encoders', 'backends', 'model', 'ediffi'].map((name) => [`types of ${name}`, [tsc, '-p', `packages/${name}/tsconfig.json`]]),
  ['types of tests and examples', [tsc, '-p', 'tsconfig.tests.json']],
  ['types of browser tests', [tsc, '-p', 'tsconfig.browser.json']],
  ['boundaries', ['scripts/check-boundaries.mjs']],
  ['docblocks', ['scripts/check-docblocks.mjs']],
  ['lint', [bin('oxlint', 'bin/oxlint'), '--quiet', 'packages', 'scripts', 'examples', 'benchmarks', 'browser', 'playground']],
];

/** Runs the checks; returns [passed, failed]. */
export function check() {
  let failed = 0;
  for (const [name, args] of checks) {
    const result = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    const ok = result.status === 0;
    if (!ok) failed++;
    console.log(`${ok ? '✓' : '✗'} ${name}`);
    if (!ok) console.log(`${result.stdout}${result.stderr}`);
  }
  return [checks.length - failed, failed];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(check()[1] ? 1 : 0);
