// Checks, then every test; the last line is the sum: "N passed, N failed" (", N skipped").
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check } from './check.mjs';
import { ensureChromium } from './chromium.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const vitest = join(dirname(require.resolve('vitest/package.json')), 'vitest.mjs');

let [passed, failed] = check();
let skipped = 0;
const chromium = ensureChromium(); // before the tests' clocks start
if (chromium.fail) {
  console.error(`✗ ${chromium.fail}`);
  failed++;
} else if (chromium.skip) console.log(`browser tests are skipped: ${chromium.skip}`);
const folder = mkdtempSync(join(tmpdir(), 'ediffi-test-'));
const report = join(folder, 'report.json');
const run = spawnSync(process.execPath, [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  passed += result.numPassedTests;
  failed += result.numFailedTests;
  skipped += result.numPendingTests + result.numTodoTests;
  const broken = result.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
  failed += broken; // a file that does not even load
} catch (error) {
  console.error(`no report from vitest: ${error.message}`);
  failed++;
}
rmSync(folder, { recursive: true, force: true });
if (run.status !== 0 && failed === 0) failed++; // an unhandled error outside any test
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
process.exit(failed ? 1 : 0);
