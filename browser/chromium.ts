/* Chromium under a test: where it is, how it starts, and the code that runs in its pages. */
import { build, type BuildOptions, type BuildResult } from 'esbuild';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { browserSources, packageSources } from '../scripts/browser-sources.mjs';
import { findChromium } from '../scripts/chromium.mjs';

export { launch } from '../scripts/chromium.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Flags for WebGPU on a software adapter. */
export const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** Folder with onnxruntime-web's files. */
export const RUNTIME = join(dirname(createRequire(join(root, 'packages/backends/package.json')).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm')));
/** Folder with the embedded model. */
export const MODEL = join(root, 'packages/model');

/** Registers tests that need a browser; without one they are reported as skipped (`npm test` installs it, or fails, where apt is at hand). */
export function inChromium(name: string, body: () => void): void {
  if (findChromium()) describe(name, body);
  else describe.skip(`${name} (no Chromium or Chrome here: node scripts/chromium.mjs)`, body);
}

/** A page's script with everything it imports, from the sources of the packages as a browser gets them. */
export const bundle = async (entry: string): Promise<string> => bundleOf(`import './${entry}';`);

/** Code with everything it imports. */
export async function bundleOf(contents: string): Promise<string> {
  return (await built(contents, {})).outputFiles[0]!.text;
}

/** Minified code in pieces, as bundlers make them: what is loaded at once, what besides with the modules named `soon`, and what only when it is asked for. */
export async function piecesOf(contents: string, soon: readonly string[] = []): Promise<{ readonly atOnce: string; readonly soon: string; readonly later: string }> {
  const { outputFiles, metafile } = await built(contents, { minify: true, splitting: true, outdir: '/' });
  const at = (path: string): string => outputFiles.find((file) => file.path.endsWith(path.replace(/^.*\//, '/')))!.text;
  const entry = Object.keys(metafile.outputs).find((path) => metafile.outputs[path]!.entryPoint === '<stdin>')!;
  const reached = (starts: readonly string[]): Set<string> => {
    const loaded = new Set(starts);
    for (const path of loaded) for (const { path: next, kind } of metafile.outputs[path]!.imports) if (kind === 'import-statement') loaded.add(next);
    return loaded;
  };
  const starts = soon.map((name) => {
    const found = Object.keys(metafile.outputs).find((path) => metafile.outputs[path]!.entryPoint?.endsWith(name));
    if (!found) throw new Error(`no piece begins with ${name}`);
    return found;
  });
  const [loaded, first] = [reached([entry]), reached([entry, ...starts])];
  const join = (paths: readonly string[]): string => paths.map(at).join('\n');
  return { atOnce: join([...loaded]), soon: join([...first].filter((path) => !loaded.has(path))), later: join(Object.keys(metafile.outputs).filter((path) => !first.has(path))) };
}

const built = (contents: string, options: BuildOptions): Promise<BuildResult<{ write: false; metafile: true }>> =>
  build({ ...options, stdin: { contents, resolveDir: root, loader: 'ts' }, bundle: true, write: false, metafile: true, format: 'esm', platform: 'browser', target: 'es2022', logLevel: 'silent', plugins: [packageSources, browserSources] });

/** An empty page that runs a script. */
export const html = (script: string): string => `<!doctype html><html lang="en"><meta charset="utf-8"><title>test</title><body><script type="module" src="${script}"></script></body></html>`;
