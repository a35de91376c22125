// npm run docs: guides with their live examples, API and playground as a static site in out/docs that works in any folder. With --serve it is shown afterwards.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import ts from 'typescript';
import { forPages } from './browser-sources.mjs';
import { buildPlayground } from './playground.mjs';
import { serve } from './serve.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const bin = (name, path) => join(dirname(require.resolve(`${name}/package.json`)), path);
const BASE = '/ediffi-base/';
const argument = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined);
const out = argument('--out') ?? join(root, 'out', 'docs');

function run(...args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** Folders and files below a folder. */
const files = (folder) => readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)]));

/** VitePress wants to know the site's path when it builds. It is built for a path that does not exist, and the page finds out where it is. */
function anywhere(folder) {
  for (const path of files(folder).filter((name) => /\.(html|js|css)$/.test(name))) {
    const text = readFileSync(path, 'utf8');
    if (!text.includes(BASE)) continue;
    const up = './' + '../'.repeat(relative(folder, path).split(sep).length - 1);
    let moved;
    if (path.endsWith('.html')) {
      const find = `<script>window.__ediffiBase=new URL(${JSON.stringify(up)},location.href).pathname</script>`;
      moved = text.replace(/(__VP_SITE_DATA__\s*=\s*JSON\.parse\()("(?:[^"\\]|\\.)*")\)/, (_, before, json) => `${before}${json}.replaceAll(${JSON.stringify(BASE).replace(/\//g, '\\/')},window.__ediffiBase))`);
      const parts = moved.split(/(<script[\s\S]*?<\/script>)/); // addresses in the markup are relative to the page; scripts ask where they are
      moved = parts.map((part) => (part.startsWith('<script>') ? part : part.replaceAll(BASE, up))).join('').replace('<head>', `<head>${find}`);
    } else if (path.endsWith('.css')) moved = text.replaceAll(BASE, up);
    else moved = strings(text);
    writeFileSync(path, moved);
  }
}

/** JavaScript in which every string that holds the path asks for the real one. */
function strings(code) {
  const edits = [];
  const visit = (node) => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateExpression(node)) {
      if (node.getText().includes(BASE)) edits.push(node);
    } else ts.forEachChild(node, visit);
  };
  const source = ts.createSourceFile('x.js', code, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
  ts.forEachChild(source, visit);
  return edits.reverse().reduce((text, node) => `${text.slice(0, node.getStart())}(${node.getText()}).replaceAll(${JSON.stringify(BASE)},window.__ediffiBase)${text.slice(node.end)}`, code);
}

run(bin('typedoc', 'bin/typedoc'), '--logLevel', 'Warn');
rmSync(out, { recursive: true, force: true });
mkdirSync(dirname(out), { recursive: true });
run(bin('vitepress', 'bin/vitepress.js'), 'build', 'docs', '--outDir', out);
anywhere(out);
await buildPlayground(join(out, 'playground'));
await build({ entryPoints: [join(root, 'docs', '.vitepress', 'live-worker.ts')], outfile: join(out, 'live', 'worker.js'), ...forPages });
cpSync(join(root, 'docs', 'images'), join(out, 'images'), { recursive: true });
console.log(`the site is in ${out}`);
if (process.argv.includes('--serve')) console.log(`and at ${(await serve({ '/': { folder: out } }, { port: 4174 })).url}`);
