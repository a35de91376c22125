/* What a page downloads of us, minified and gzipped. ONNX Runtime and weights come on top: the documentation states them. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { piecesOf } from './chromium.js';

/** In units of 1024 bytes. */
const kilobytes = (code: string): number => gzipSync(code, { level: 9 }).length / 1024;

describe('a page downloads', () => {
  it('at most 6 kB for core, heun and karras', async () => {
    const { atOnce } = await piecesOf("import { bind, guided, precondition, lincomb } from '@ediffi/core'; import { heun, karras } from '@ediffi/sampler'; console.log(bind, guided, precondition, lincomb, heun, karras);");
    expect(kilobytes(atOnce)).toBeLessThan(6);
  });
  it('at most 85 kB for the whole embedded eDiff-I', async () => {
    const { atOnce, later } = await piecesOf("import { loadEdiffi } from 'ediffi'; import { ortWeb } from '@ediffi/backends/ort-web'; globalThis.paint = async (files) => (await loadEdiffi({ backend: ortWeb(files), baseUrl: 'model/' })).generate('a cat');");
    expect(kilobytes(atOnce)).toBeLessThan(85);
    expect(atOnce + later).not.toMatch(/from ?['"]node:|import\(['"]node:/);
  });
});
