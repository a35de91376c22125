// node scripts/pack-smoke.mjs: packs every package as it would be published, installs the tarballs into an empty project, and uses them there as
// Node ESM, as Node `require`, and through a bundler for browsers; publint reads each. Takes a minute; not part of `npm test`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { publint } from 'publint';

const root = fileURLToPath(new URL('..', import.meta.url));
const PNPM = ['-y', 'pnpm@12.21.0'];
const names = ['core', 'sampler', 'encoders', 'backends', 'model', 'ediffi'];
const work = mkdtempSync(join(tmpdir(), 'ediffi-pack-'));
let failed = 0;

function run(what, command, args, cwd) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) {
    console.log(`✗ ${what}\n${stdout}${stderr}`);
    failed++;
    return false;
  }
  console.log(`✓ ${what}`);
  return true;
}

for (const name of names) {
  const folder = join(root, 'packages', name);
  run(`pack ${name}`, 'npx', [...PNPM, 'pack', '--pack-destination', work], folder);
  const { messages } = await publint({ pkgDir: folder, level: 'warning', pack: false });
  for (const { code, path, type } of messages) {
    console.log(`${type === 'error' ? '✗' : '!'} publint ${name}: ${code} at ${path.join('.')}`);
    if (type === 'error') failed++;
  }
}
const tarballs = Object.fromEntries(names.map((name) => {
  const full = name === 'ediffi' ? 'ediffi' : `@ediffi/${name}`;
  return [full, `file:${join(work, readdirSync(work).find((file) => file.startsWith(name === 'ediffi' ? 'ediffi-0' : `ediffi-${name}-`)))}`];
}));
const project = join(work, 'project');
mkdirSync(project);
writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'smoke', private: true, type: 'module', dependencies: tarballs }));
writeFileSync(join(project, 'pnpm-workspace.yaml'), `overrides: ${JSON.stringify(tarballs)}\nallowBuilds: { onnxruntime-node: false, protobufjs: false }\n`);
run('install', 'npx', [...PNPM, 'install', '--prefer-offline'], project);
const PAINT = "ediffi.generate('a cat', { seed: 7, steps: 2 }).then(async (picture) => { if (picture.width !== 128) throw new Error('width ' + picture.width); await ediffi.dispose(); })";
writeFileSync(join(project, 'esm.js'), `import { loadEdiffi } from 'ediffi';\nconst ediffi = await loadEdiffi();\nawait ${PAINT};\n`);
writeFileSync(join(project, 'require.cjs'), `const { loadEdiffi } = require('ediffi');\nloadEdiffi().then((ediffi) => ${PAINT});\n`);
writeFileSync(join(project, 'readme.mjs'), /```ts\n([^]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))[1]); // what stands there is JavaScript too
run("the README's program", process.execPath, ['readme.mjs'], project);
run('Node, import', process.execPath, ['esm.js'], project);
run('Node, require', process.execPath, ['require.cjs'], project);
run('command line', process.execPath, ['node_modules/ediffi/dist/cli.js', 'describe', '--words'], project);
try {
  const page = "import { loadEdiffi } from 'ediffi'; import { createBackend } from '@ediffi/backends/auto'; console.log(loadEdiffi, createBackend);";
  await build({ stdin: { contents: page, resolveDir: project }, bundle: true, write: false, platform: 'browser', format: 'esm', logLevel: 'silent' });
  console.log('✓ bundled for browsers');
} catch (error) {
  console.log(`✗ bundled for browsers\n${error.message}`);
  failed++;
}
rmSync(work, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
