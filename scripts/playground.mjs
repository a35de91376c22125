// npm run playground: builds the playground into out/playground and serves it.
//   node scripts/playground.mjs --out FOLDER      builds only; the folder works on any static server, below any path
import { build } from 'esbuild';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { forPages } from './browser-sources.mjs';
import { serve } from './serve.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const runtime = dirname(createRequire(join(root, 'packages/backends/package.json')).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm'));

/** Builds the playground: page, worker, ONNX Runtime's two files and the embedded model. */
export async function buildPlayground(out) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, 'ort'), { recursive: true });
  const model = join(root, 'packages', 'model');
  const { files, stages } = JSON.parse(readFileSync(join(model, 'card.json'), 'utf8'));
  const source = (name) => join(root, 'playground', name);
  await build({ entryPoints: [source('main.ts'), source('worker.ts')], outdir: out, ...forPages, define: { BASE_DEFAULTS: JSON.stringify(stages[0].defaults) } });
  for (const name of ['index.html', 'style.css', 'sw.js']) cpSync(source(name), join(out, name));
  for (const name of ['ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm']) cpSync(join(runtime, name), join(out, 'ort', name));
  cpSync(join(model, 'card.json'), join(out, 'model', 'card.json'));
  cpSync(join(model, 'tokenizers'), join(out, 'model', 'tokenizers'), { recursive: true });
  for (const name of Object.keys(files)) cpSync(join(model, 'weights', name), join(out, 'model', 'weights', name));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { out: { type: 'string' }, port: { type: 'string', default: '4173' } } });
  const out = values.out ?? join(root, 'out', 'playground');
  await buildPlayground(out);
  if (values.out) console.log(`the playground is in ${out}`);
  else console.log(`the playground is at ${(await serve({ '/': { folder: out } }, { port: Number(values.port), isolated: true })).url} (Ctrl+C ends it)`);
}
