// Who may import whom (type imports included), that no imports run in circles, what may not appear in packages that must run anywhere, and how long a file may be.
import { readFileSync, readdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const MAY_IMPORT = { core: [], sampler: ['core'], encoders: ['core'], backends: ['core'], model: ['core', 'encoders', 'sampler'], ediffi: ['core', 'sampler', 'encoders', 'backends', 'model'] };
const ANYWHERE = ['core', 'sampler', 'encoders']; // no Node, no DOM, no inference runtime
const MAX_LINES = 300;
const CORE_LAYERS = ['errors', 'tensor', 'backend', 'conditioning', 'regions', 'denoiser', 'ensemble', 'testing'];
const LAYER_EXCEPTIONS = new Set(['conditioning>regions', 'regions>conditioning', 'regions>backend']); // Conditioning names PaintWithWords, whose columns come from spans

export function sources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sources(path) : path.endsWith('.ts') ? [path] : [];
  });
}

const problems = [];
const graph = new Map(); // file → files it imports

/** Circles of relative imports, each once, from its first file. */
function circles() {
  const state = new Map();
  const found = [];
  const visit = (path, trail) => {
    if (state.get(path) === 'done') return;
    if (trail.includes(path)) {
      found.push([...trail.slice(trail.indexOf(path)), path].map((p) => relative(root, p)).join(' → '));
      return;
    }
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    state.set(path, 'done');
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

for (const [name, allowed] of Object.entries(MAY_IMPORT)) {
  const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'));
  const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }));
  for (const path of sources(join(root, 'packages', name, 'src'))) {
    const text = readFileSync(path, 'utf8');
    const where = relative(root, path);
    const lines = text.split('\n').length;
    const isTest = path.endsWith('.test.ts');
    graph.set(path, []);
    if (lines > MAX_LINES && !isTest) problems.push(`${where}: ${lines} lines, at most ${MAX_LINES}`);
    for (const { fileName: specifier } of ts.preProcessFile(text, true, true).importedFiles) {
      if (specifier.startsWith('.')) {
        const reached = join(dirname(path), specifier).replace(/\.js$/, '.ts');
        graph.get(path).push(reached);
        if (relative(join(root, 'packages', name), reached).startsWith('..')) problems.push(`${where}: ${specifier} leaves the package`);
      } else if (!isTest && !isBuiltin(specifier)) {
        const library = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
        if (!declared.has(library)) problems.push(`${where}: ${library} is not among the dependencies of ${manifest.name}`);
      }
      const sibling = /^(?:@ediffi\/([a-z]+)|(ediffi))(?:\/|$)/.exec(specifier);
      const target = sibling?.[1] ?? sibling?.[2];
      if (target && target !== name && !allowed.includes(target) && !isTest) problems.push(`${where}: ${name} must not import ${specifier}`);
      if (target === name && specifier !== '@ediffi/core/testing') problems.push(`${where}: import your own package by relative path, not ${specifier}`);
      if (!isTest && ANYWHERE.includes(name) && isBuiltin(specifier)) problems.push(`${where}: ${name} must run anywhere, not import ${specifier}`);
      if (!isTest && specifier.startsWith('onnxruntime') && name !== 'backends') problems.push(`${where}: only backends import ONNX Runtime`);
      if (name === 'core' && specifier.startsWith('.') && !isTest) {
        const [from, to] = [relative(join(root, 'packages/core/src'), path).split(sep)[0], specifier.startsWith('../') ? specifier.split('/')[1] : undefined];
        if (to && CORE_LAYERS.includes(to) && CORE_LAYERS.includes(from) && CORE_LAYERS.indexOf(to) > CORE_LAYERS.indexOf(from) && !LAYER_EXCEPTIONS.has(`${from}>${to}`)) {
          problems.push(`${where}: ${from} is below ${to} in core and must not import it`);
        }
      }
    }
  }
}
for (const circle of circles()) problems.push(`imports in a circle: ${circle}`);
if (problems.length) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log('boundaries: ok');
