import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

async function bundle(names: string): Promise<string> {
  const result = await build({
    stdin: { contents: `export { ${names} } from './index.js';`, resolveDir: source('.'), loader: 'ts' },
    bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, treeShaking: true,
    // The packages' own `sideEffects: false` holds for their sources too.
    plugins: [{ name: 'sources', setup: (b) => {
      b.onResolve({ filter: /^@ediffi\/core$/ }, () => ({ path: source('../../core/src/index.ts'), sideEffects: false }));
      b.onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path, resolveDir }) => ({ path: `${resolveDir}/${path.replace(/\.js$/, '.ts')}`, sideEffects: false }));
    } }],
  });
  return result.outputFiles[0]!.text;
}

it('{ heun, karras } bundled alone is at most 3 kB gzipped, without ONNX Runtime or ndarray', async () => {
  const text = await bundle('heun, karras');
  console.log(`{ heun, karras }: ${text.length} bytes, ${gzipSync(text).length} gzipped`);
  expect(text).not.toMatch(/onnxruntime|ndarray/);
  expect(gzipSync(text, { level: 9 }).length).toBeLessThanOrEqual(3072);
});
it('a solver does not drag in the others', async () => {
  const text = await bundle('euler, karras');
  expect(text).not.toMatch(/dpmsolver|tableau|Brownian/);
});
