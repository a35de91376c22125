// node scripts/pack-smoke.mjs [--next] [--deno]: packs every package as it would be published, installs the tarballs into an empty project, and uses them
// there: Node ESM, Node `require`, the command line, types at `strict`, Vite and webpack (each page painted in Chromium), and on request Next and Deno;
// publint and attw read each. Takes some minutes; not part of `npm test`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { publint } from 'publint';
import { nextApp, pictureOf } from './smoke/next.mjs';
import { pages, paintedBy, PROMPT, SETTINGS } from './smoke/pages.mjs';
import { types } from './smoke/types.mjs';

const { values: wanted } = parseArgs({ options: { next: { type: 'boolean', default: false }, deno: { type: 'boolean', default: false } } });
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

/** Runs `work`; what it throws is a failure. */
async function attempt(what, work) {
  try {
    console.log(`✓ ${what}${(await work()) ?? ''}`);
  } catch (error) {
    console.log(`✗ ${what}\n${error.message}`);
    failed++;
  }
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
const TOOLS = {
  '@arethetypeswrong/cli': '0.18.5', '@types/node': '20.19.43', 'onnxruntime-web': '1.30.0', typescript: '5.9.3', vite: '8.3.8', webpack: '5.112.2', 'webpack-cli': '7.3.1',
  ...(wanted.next && { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1' }), ...(wanted.deno && { deno: '2.9.6' }),
};
const project = join(work, 'project');
mkdirSync(project);
writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'smoke', private: true, type: 'module', dependencies: { ...tarballs, ...TOOLS } }));
writeFileSync(join(project, 'pnpm-workspace.yaml'), `overrides: ${JSON.stringify(tarballs)}\nallowBuilds: { onnxruntime-node: false, protobufjs: false, deno: false, sharp: false }\n`);
run('install', 'npx', [...PNPM, 'install', '--prefer-offline'], project);
const PAINT = "ediffi.generate('a cat', { seed: 7, steps: 2 }).then(async (picture) => { if (picture.width !== 256) throw new Error('width ' + picture.width); await ediffi.dispose(); })";
writeFileSync(join(project, 'esm.js'), `import { loadEdiffi } from 'ediffi';\nconst ediffi = await loadEdiffi();\nawait ${PAINT};\n`);
writeFileSync(join(project, 'require.cjs'), `const { loadEdiffi } = require('ediffi');\nloadEdiffi().then((ediffi) => ${PAINT});\n`);
writeFileSync(join(project, 'readme.mjs'), /```ts\n([^]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))[1]); // what stands there is JavaScript too
run("the README's program", process.execPath, ['readme.mjs'], project);
run('Node, import', process.execPath, ['esm.js'], project);
run('Node, require', process.execPath, ['require.cjs'], project);
run('command line', process.execPath, ['node_modules/ediffi/dist/cli.js', 'describe', '--words'], project);
for (const [name, path] of Object.entries(tarballs)) run(`attw ${name}`, process.execPath, ['node_modules/@arethetypeswrong/cli/dist/index.js', path.slice('file:'.length), '--profile', 'esm-only'], project);
for (const { name, args } of types(project)) run(`types: ${name}`, process.execPath, args, project);

writeFileSync(join(project, 'paint.js'), `import { loadEdiffi } from 'ediffi';\nconst ediffi = await loadEdiffi();\nconst { data } = await ediffi.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(SETTINGS)});\nconsole.log(JSON.stringify(Array.from(data)));\nawait ediffi.dispose();\n`);
const paintedIn = (command, args) => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: project, encoding: 'utf8', maxBuffer: 1e8 });
  if (status !== 0) throw new Error(stdout.slice(0, 500) + stderr);
  return JSON.parse(stdout);
};
const own = paintedIn(process.execPath, ['paint.js']);
const apart = (bytes) => {
  if (bytes.length !== own.length) throw new Error(`${bytes.length} bytes in place of ${own.length}`);
  const worst = bytes.reduce((most, v, i) => Math.max(most, Math.abs(v - own[i])), 0);
  if (worst > 2) throw new Error(`differs from Node's picture by ${worst}/255`);
  return `: within ${worst}/255 of Node's picture`;
};
for (const app of pages(project)) {
  if (run(`built by ${app.name}`, process.execPath, app.args, app.cwd)) await attempt(`painted in Chromium, built by ${app.name}`, async () => apart(await paintedBy(app, join(project, 'node_modules/@ediffi/model'))));
}
if (wanted.next) {
  const app = nextApp(project);
  if (run('built by Next (route and client component)', process.execPath, app.args, app.folder)) {
    await attempt('painted by a route of Next', async () => {
      const { decodePng } = await import('../packages/ediffi/dist/index.js');
      const { data } = decodePng(await pictureOf(app));
      return apart(Array.from(data.filter((_, i) => i % 4 !== 3)));
    });
  }
}
if (wanted.deno) await attempt('painted in Deno', () => apart(paintedIn('node_modules/.bin/deno', ['run', '--allow-all', '--node-modules-dir=manual', 'paint.js'])));
if (!failed) rmSync(work, { recursive: true, force: true });
else console.log(`what was built is left in ${work}`);
process.exit(failed ? 1 : 0);
