// Brings a fresh clone to a built state: pnpm through npx (no corepack, no global install), frozen install, build.
// Skips what is up to date, so that a second run takes moments.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const PNPM = 'pnpm@12.21.0'; // a native binary: newer JavaScript pnpm releases do not start on Node 20

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`ediffi needs Node 20.19 or newer, this is ${process.versions.node}`);
  process.exit(1);
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], shell: process.platform === 'win32' });
  if (result.status !== 0) {
    console.error(`setup: "${command} ${args.join(' ')}" failed (${result.status ?? result.signal})`);
    process.exit(result.status ?? 1);
  }
}

function files(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)]));
}

function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(path).update(readFileSync(path));
  return hash.digest('hex');
}

const stampPath = (name) => join(root, 'node_modules', '.ediffi', name);

/** Runs `work` unless the stamp says that it ran for these very inputs. */
function once(stamp, key, work) {
  const path = stampPath(stamp);
  if (existsSync(path) && readFileSync(path, 'utf8') === key) return;
  work();
  mkdirSync(join(root, 'node_modules', '.ediffi'), { recursive: true });
  writeFileSync(path, key);
}

const packages = readdirSync(join(root, 'packages')).filter((name) => existsSync(join(root, 'packages', name, 'package.json')));
const manifests = [join(root, 'pnpm-lock.yaml'), join(root, 'pnpm-workspace.yaml'), ...packages.map((name) => join(root, 'packages', name, 'package.json'))];
once('install', digest(manifests), () => run('npx', ['-y', PNPM, 'install', '--frozen-lockfile', '--reporter=append-only']));

const sources = packages.flatMap((name) => {
  const folder = join(root, 'packages', name);
  return [...files(join(folder, 'src')), ...['package.json', 'tsup.config.ts', 'tsconfig.build.json'].map((file) => join(folder, file))];
});
sources.push(join(root, 'tsconfig.base.json'));
const built = packages.every((name) => existsSync(join(root, 'packages', name, 'dist')));
if (!built) rmSync(stampPath('build'), { force: true });
once('build', digest(sources), () => run(process.execPath, [join(root, 'scripts', 'build.mjs')]));
