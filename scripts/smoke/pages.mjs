// The page of docs/start/browser.md, built by Vite and by webpack from installed tarballs, opened in Chromium: does it paint what Node paints?
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { findChromium } from '../chromium.mjs';
import { serve } from '../serve.mjs';

export const SETTINGS = { seed: 7, steps: 4, upscale: false };
export const PROMPT = 'a red apple on the beach';

const paint = (files) => `
import { ortWeb } from '@ediffi/backends/ort-web';
import { loadEdiffi } from 'ediffi';
${files}
globalThis.painted = (async () => {
  const ediffi = await loadEdiffi({ backend: ortWeb({ runtime, wasm }), baseUrl: '/model/' });
  const { data } = await ediffi.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(SETTINGS)});
  return Array.from(data);
})();
`;

const VITE = paint("import runtime from 'onnxruntime-web/wasm?url';\nimport wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';");
const WEBPACK = paint("const runtime = new URL('../node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs', import.meta.url);\nconst wasm = new URL('onnxruntime-web/ort-wasm-simd-threaded.wasm', import.meta.url);");
const HTML = (script) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>smoke</title><body>${script}</body></html>`;

/** Writes the two apps; answers with the commands that build them and the folders that they build. */
export function pages(project) {
  const [vite, webpack] = ['vite', 'webpack'].map((name) => join(project, name));
  for (const folder of [vite, webpack]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(vite, 'main.js'), VITE);
  writeFileSync(join(vite, 'index.html'), HTML('<script type="module" src="/main.js"></script>'));
  writeFileSync(join(vite, 'vite.config.js'), "export default { build: { target: 'es2022' }, logLevel: 'warn' };\n");
  writeFileSync(join(webpack, 'main.js'), WEBPACK);
  writeFileSync(join(webpack, 'webpack.config.cjs'), "module.exports = { mode: 'production', entry: './main.js', output: { path: __dirname + '/dist', publicPath: '/' }, performance: { hints: false }, stats: 'errors-warnings' };\n");
  return [
    { name: 'Vite', folder: join(vite, 'dist'), cwd: vite, args: ['../node_modules/vite/bin/vite.js', 'build'] },
    { name: 'webpack', folder: join(webpack, 'dist'), cwd: webpack, args: ['../node_modules/webpack/bin/webpack.js', '--config', 'webpack.config.cjs'], index: HTML('<script src="/main.js"></script>') },
  ];
}

/** Opens a built app and gives the bytes that it painted. Rejects with what the page complained of. */
export async function paintedBy({ folder, index }, model) {
  const server = await serve({ '/': { folder }, '/model/': { folder: model }, ...(index && { '/index.html': { text: index } }) });
  const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('response', (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`));
    await page.goto(`${server.url}/index.html`);
    await page.waitForFunction(() => globalThis.painted, undefined, { timeout: 30_000 }).catch(() => Promise.reject(new Error(complaints.join('; ') || 'the page never began to paint')));
    return await page.evaluate(() => globalThis.painted).catch((error) => Promise.reject(new Error([error.message, ...complaints].join('; '))));
  } finally {
    await Promise.all([browser.close(), server.close()]);
  }
}
