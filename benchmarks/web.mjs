// Milliseconds per step of the base, the same pictures in a page (WebAssembly, one thread) and in Node (one thread), taken in turns:
//
//   node benchmarks/web.mjs [--rounds 3] [--steps 10] [--save]
//
// The ratio is the median over rounds of the ratio within a round, and, for busy machines, the ratio of the best times.
import { build } from 'esbuild';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { loadBase } from '../packages/ediffi/dist/index.js';
import { browserSources, packageSources } from '../scripts/browser-sources.mjs';
import { findChromium } from '../scripts/chromium.mjs';
import { serve } from '../scripts/serve.mjs';
import { stamp } from './stamp.mjs';
import { median } from './lib/median.mjs';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, steps: { type: 'string', default: '10' }, save: { type: 'boolean', default: false } } });
const root = fileURLToPath(new URL('..', import.meta.url));
const runtime = dirname(createRequire(join(root, 'packages/backends/package.json')).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm'));
const options = { seed: 7, steps: Number(values.steps) };

const contents = `
import { ortWeb } from '@ediffi/backends/ort-web';
import { loadBase } from 'ediffi';
const base = await loadBase({ backend: ortWeb({ runtime: 'ort/ort.wasm.bundle.min.mjs', wasm: 'ort/ort-wasm-simd-threaded.wasm' }), baseUrl: 'model/' });
globalThis.paint = (prompt, options) => base.generate(prompt, options);
globalThis.ready = true;`;
const { outputFiles } = await build({ stdin: { contents, resolveDir: root }, bundle: true, write: false, format: 'esm', target: 'es2022', platform: 'browser', plugins: [packageSources, browserSources] });
const server = await serve({ '/index.html': { text: '<script type="module" src="page.js"></script>' }, '/page.js': { text: outputFiles[0].text }, '/ort/': { folder: runtime }, '/model/': { folder: join(root, 'packages', 'model') } });
const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox'] });
const page = await browser.newPage();
await page.goto(`${server.url}/index.html`);
await page.waitForFunction(() => globalThis.ready);
const node = await loadBase();

const inPage = () => page.evaluate(async (given) => {
  const start = performance.now();
  await globalThis.paint('a red car on the beach', given);
  return (performance.now() - start) / given.steps;
}, options);
const inNode = async () => {
  const start = performance.now();
  await node.generate('a red car on the beach', options);
  return (performance.now() - start) / options.steps;
};

await inPage(); // both load their graphs
await inNode();
const rounds = [];
for (let i = 0; i < Number(values.rounds); i++) rounds.push(i % 2 ? { node: await inNode(), page: await inPage() } : { page: await inPage(), node: await inNode() });
const best = (key) => Math.min(...rounds.map((round) => round[key]));
const round = (value) => Number(value.toPrecision(3));
const result = {
  ...stamp(),
  chromium: browser.version(),
  steps: options.steps,
  millisecondsPerStep: { page: round(median(rounds.map((r) => r.page))), node: round(median(rounds.map((r) => r.node))) },
  ratio: { median: round(median(rounds.map((r) => r.page / r.node))), best: round(best('page') / best('node')) },
};
console.log(JSON.stringify(result, null, 2));
if (values.save) writeFileSync(new URL('results/web.json', import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
await Promise.all([browser.close(), server.close(), node.dispose()]);
