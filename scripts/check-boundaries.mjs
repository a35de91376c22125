// Who may import whom (type imports included), what may not appear in packages that must run anywhere, and how long a file may be.
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

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
for (const [name, allowed] of Object.entries(MAY_IMPORT)) {
  for (const path of sources(join(root, 'packages', name, 'src'))) {
    const text = readFileSync(path, 'utf8');
    const where = relative(root, path);
    const lines = text.split('\n').length;
    const isTest = path.endsWith('.test.ts');
    if (lines > MAX_LINES && !isTest) problems.push(`${where}: ${lines} lines, at most ${MAX_LINES}`);
    for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      const sibling = /^(?:@ediffi\/([a-z]+)|(ediffi))(?:\/|$)/.exec(specifier);
      const target = sibling?.[1] ?? sibling?.[2];
      if (target && target !== name && !allowed.includes(target) && !isTest) problems.push(`${where}: ${name} must not import ${specifier}`);
      if (target === name && specifier !== '@ediffi/core/testing') problems.push(`${where}: import your own package by relative path, not ${specifier}`);
      if (!isTest && ANYWHERE.includes(name) && specifier.startsWith('node:')) problems.push(`${where}: ${name} must run anywhere, not import ${specifier}`);
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
if (problems.length) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log('boundaries: ok');
