/* Chromium under a test: where it is, how it starts, and the code that runs in its pages. */
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser } from 'playwright-core';
import { describe } from 'vitest';
import { findChromium } from '../scripts/chromium.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const QUIET = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
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

/** Starts Chromium without a window. */
export async function launch(flags: readonly string[] = []): Promise<Browser> {
  const { LD_PRELOAD: _, ...env } = process.env;
  return chromium.launch({ executablePath: findChromium()!, headless: true, args: [...QUIET, ...flags], env: env as Record<string, string> });
}

/** A page's script with everything it imports, from the sources of the packages as a browser gets them. */
export async function bundle(entry: string, minify = false): Promise<string> {
  const source = (path: string): string => join(root, 'packages', path);
  const entries = (name: string): string => {
    const exports = JSON.parse(readFileSync(source(`${name}/package.json`), 'utf8')).exports as Record<string, Record<string, { default?: string } | string>>;
    const { browser, default: standard } = exports['.']!;
    const dist = typeof browser === 'object' ? browser.default! : (standard as string);
    return source(`${name}/${dist.replace('dist', 'src').replace(/\.js$/, '.ts')}`);
  };
  const { outputFiles } = await build({
    entryPoints: [join(root, entry)], bundle: true, write: false, format: 'esm', platform: 'browser', target: 'es2022', minify, logLevel: 'silent',
    alias: {
      ...Object.fromEntries(['core', 'sampler', 'encoders', 'model', 'backends'].map((name) => [`@ediffi/${name}`, entries(name)])),
      ...Object.fromEntries(['ort-web', 'ort-webgpu', 'conformance', 'reference'].map((name) => [`@ediffi/backends/${name}`, source(`backends/src/${name}.ts`)])),
      '@ediffi/backends/auto': source('backends/src/auto.browser.ts'),
      '@ediffi/core/testing': source('core/src/testing/index.ts'),
      ediffi: entries('ediffi'),
    },
  });
  return outputFiles[0]!.text;
}

/** An empty page that runs a script. */
export const html = (script: string): string => `<!doctype html><html lang="en"><meta charset="utf-8"><title>test</title><body><script type="module" src="${script}"></script></body></html>`;
