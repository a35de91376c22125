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
  it('at most 30 kB to load the embedded eDiff-I, and at most 104 kB until its first picture', async () => {
    const { atOnce, soon, later } = await piecesOf("import { loadEdiffi } from 'ediffi'; import { ortWeb } from '@ediffi/backends/ort-web'; globalThis.paint = async (files) => (await loadEdiffi({ backend: ortWeb(files), baseUrl: 'model/' })).generate('a cat');", ['ediffi/src/generate.ts', 'ediffi/src/embedded-encoders.ts']);
    console.log(`entry ${kilobytes(atOnce).toFixed(1)} kB, first picture ${kilobytes(atOnce + soon).toFixed(1)} kB, everything ${kilobytes(atOnce + soon + later).toFixed(1)} kB`);
    expect(kilobytes(atOnce)).toBeLessThan(30);
    expect(kilobytes(atOnce + soon)).toBeLessThan(104);
    expect(atOnce + soon + later).not.toMatch(/from ?['"]node:|import\(['"]node:/);
    for (const [word, where] of [['Unigram', soon], ['ReduceMax', later]] as const) { // tokenizers; graph surgery
      expect(where).toContain(word);
      expect(atOnce).not.toContain(word);
    }
  });
});
