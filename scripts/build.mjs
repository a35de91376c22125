// Builds every package with tsup, in the order of their dependencies (types of one come from the dist of another).
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const tsup = join(dirname(require.resolve('tsup/package.json')), 'dist', 'cli-default.js');

for (const name of ['core', 'sampler', 'encoders', 'backends', 'model', 'ediffi']) {
  const started = Date.now();
  rmSync(join(root, 'packages', name, 'dist'), { recursive: true, force: true });
  const built = spawnSync(process.execPath, [tsup, '--silent'], { cwd: join(root, 'packages', name), stdio: 'inherit' });
  if (built.status !== 0) {
    console.error(`build: ${name} failed`);
    process.exit(1);
  }
  console.log(`built ${name} in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
