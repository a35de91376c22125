import { CapabilityError, OptionError } from '@ediffi/core';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createBackend as inBrowser } from './auto.browser.js';
import { createBackend as inNode } from './auto.node.js';

describe('createBackend', () => {
  it('takes onnxruntime-node in Node, the reference where asked', async () => {
    expect([(await inNode()).name, (await inNode({ device: 'cpu', threads: 2 })).name, (await inNode({ device: 'reference' })).name, (await inBrowser({ device: 'reference' })).name, (await inBrowser({ files: { wasm: { runtime: 'http://x/ort.mjs' } } })).name]).toEqual(['ort-node', 'ort-node', 'reference', 'reference', 'ort-web']);
  });
  it('refuses devices that it has not', async () => {
    await expect(inNode({ device: 'cuda' })).rejects.toThrow(CapabilityError);
    await expect(inBrowser()).rejects.toThrow(/files.wasm: expected \{ runtime, wasm \}/);
    await expect(inBrowser({ device: 'cuda' })).rejects.toThrow(CapabilityError);
    await expect(inBrowser({ device: 'webgpu', files: { webgpu: { runtime: 'http://x/ort.mjs' } } })).rejects.toThrow(/no graphics processor/);
    for (const create of [inNode, inBrowser]) await expect(create({ device: 'tpu' as 'cpu' })).rejects.toThrow(OptionError);
  });
  it('bundles for browsers without Node modules', () => {
    const { buildSync } = createRequire(import.meta.url)('esbuild') as { buildSync(options: object): { outputFiles: { text: string }[]; warnings: unknown[] } };
    const contents = "export * from './auto.browser.ts'; export * from './index.ts'; export * from './reference.ts'; export * from './ort-web.ts'; export * from './ort-webgpu.ts';";
    const { outputFiles, warnings } = buildSync({
      stdin: { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)), loader: 'ts' }, bundle: true, write: false, platform: 'browser', format: 'esm',
      alias: { '@ediffi/core': fileURLToPath(new URL('../../core/src/index.ts', import.meta.url)) },
    });
    expect(warnings).toEqual([]);
    expect(outputFiles[0]!.text).not.toMatch(/from ['"]node:|require\(['"]/);
  });
});
