// Are the packages complete as published? Packs them, installs them into an empty project with npm, and runs the README's ten lines and the
// command line there. Needs the npm registry (or its cache) for onnxruntime-node and the other dependencies, so it is no part of `npm test`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ediffi-pack-'));

/** Runs a command; its output is shown when it fails. */
function run(command, args, cwd) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', shell: process.platform === 'win32', env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' } });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed\n${stdout}${stderr}`);
  return stdout;
}

try {
  for (const name of ['core', 'sampler', 'encoders', 'backends', 'model', 'ediffi']) run('npx', ['-y', 'pnpm@12.21.0', 'pack', '--pack-destination', folder], join(root, 'packages', name));
  writeFileSync(join(folder, 'package.json'), '{ "name": "smoke", "private": true, "type": "module" }');
  run('npm', ['install', '--no-audit', '--no-fund', ...readdirSync(folder).filter((file) => file.endsWith('.tgz')).map((file) => `./${file}`)], folder);
  const snippet = /```ts\n([^]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))[1];
  writeFileSync(join(folder, 'app.mjs'), snippet); // what stands there is JavaScript too
  run(process.execPath, ['app.mjs'], folder);
  const words = run('npx', ['--no-install', 'ediffi', 'describe', '--words'], folder);
  if (!existsSync(join(folder, 'car.png')) || !words.startsWith('objects')) throw new Error('the README snippet wrote no picture, or the command line knows no words');
  console.log('packed, installed, painted: the packages are complete');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
