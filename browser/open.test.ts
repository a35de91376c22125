/* `Pipeline.open` in a page: the same code as in Node, from a folder of a web server, from a hub and from bytes. */
import { Pipeline, type GenerateOptions } from 'ediffi';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixture, fixtureFolder } from '../packages/ediffi/src/testing/parity.js';
import { bundle, html, inChromium, launch, RUNTIME } from './chromium.js';
import { furthest } from './furthest.js';
import type { OpenPage } from './pages/open.js';
import { serve } from '../scripts/serve.mjs';

declare const page: OpenPage; // in the page

const PROMPT = 'a red fox in the snow';
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const canvas = { width: 2, height: 1, data: [255, 255, 255, 255, 255, 0, 0, 255] };
const OPTIONS = { seed: 7, steps: 3, width: 64, height: 64, guidance: 4, negative: 'blurry' } satisfies GenerateOptions;
const painted = (data: readonly number[]): GenerateOptions => ({ ...OPTIONS, attention: { maps: true }, paint: { canvas: { ...canvas, data: Uint8Array.from(data) }, colors: { '#ff0000': 'red fox' } } });

inChromium('Pipeline.open in Chromium', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ediffi-open-'));
  let browser: Browser;
  let tab: Page;
  let server: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    for (const family of ['sd15', 'sdxl', 'sdxl-refiner']) await fixtureFolder(family, join(folder, family));
    const paths = await fixture('sd15').list();
    const entries = paths.map((path) => {
      const bytes = readFileSync(join(folder, 'sd15', path));
      const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
      return { type: 'file', path, size: bytes.length, oid, ...(path.endsWith('.onnx') && { lfs: { oid: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 134 } }) };
    });
    const hub = (name: string, list: object[]) => ({
      [`/api/models/${name}/revision/main`]: { text: JSON.stringify({ _id: '1', id: name, sha: COMMIT, private: false, downloads: 0, gated: false, likes: 0, lastModified: '2026-01-01T00:00:00.000Z' }) },
      [`/api/models/${name}/tree/${COMMIT}`]: { text: JSON.stringify(list) },
      [`/${name}/resolve/${COMMIT}/`]: { folder: join(folder, 'sd15') },
    });
    const damaged = entries.map((entry) => (entry.path === 'unet/model.onnx' ? { ...entry, lfs: { ...entry.lfs!, oid: '0'.repeat(64) } } : entry));
    server = await serve({
      '/index.html': { text: html('page.js') }, '/page.js': { text: await bundle('browser/pages/open.ts') }, '/ort/': { folder: RUNTIME },
      '/models/': { folder }, '/files/': { folder: join(folder, 'sd15') }, ...hub('org/tiny', entries), ...hub('org/damaged', damaged),
    });
    browser = await launch();
    tab = await browser.newPage();
    await tab.goto(`${server.url}/index.html`);
    await tab.waitForFunction(() => 'page' in globalThis);
  });
  afterAll(async () => {
    await Promise.all([browser?.close(), server?.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  /** The painted picture of SD 1.5 in the page, from wherever. */
  const inPage = (source: string | readonly string[], endpoint?: string) =>
    tab.evaluate(([from, prompt, options, data, hub]) => {
      const paint = { colors: { '#ff0000': 'red fox' }, canvas: { width: 2, height: 1, data: Uint8Array.from(data) } };
      return page.paint(from, prompt, { ...options, attention: { maps: true }, paint } as GenerateOptions, hub === undefined ? {} : { endpoint: hub });
    }, [source, PROMPT, OPTIONS, canvas.data, endpoint] as const);

  async function inNode(): Promise<Uint8Array> {
    const pipeline = await Pipeline.open(join(folder, 'sd15'));
    const { data } = await pipeline.generate(PROMPT, painted(canvas.data));
    await pipeline.dispose();
    return data;
  }

  it('paints with words what Node paints, from a folder of a server, from bytes, and from a hub', async () => {
    const wanted = await inNode();
    for (const [source, endpoint] of [['models/sd15', undefined], [await fixture('sd15').list(), undefined], ['org/tiny', server.url]] as const) {
      const there = source === 'models/sd15' ? `${server.url}/models/sd15` : source;
      const made = await inPage(there, endpoint);
      if (typeof made === 'string') throw new Error(made);
      expect(made.pixels.length).toBe(wanted.length);
      expect(furthest(wanted, made.pixels)).toBeLessThanOrEqual(2);
      expect(made.words).toContain('fox');
    }
  }, 120_000);

  it('takes large files of a hub from the cache the second time', async () => {
    const asked = (): number => server.asked.filter((path) => path.endsWith('/resolve/' + COMMIT + '/unet/model.onnx')).length;
    const before = asked();
    expect(before).toBeGreaterThan(0);
    expect(await inPage('org/tiny', server.url)).toMatchObject({ experts: ['unet'] });
    expect(asked()).toBe(before);
  }, 120_000);

  it('runs SDXL and its refiner as two experts', async () => {
    const made = await tab.evaluate(([base, refiner, prompt, options]) => page.paint(base, prompt, options, { refiner, cut: 0.5 }), [`${server.url}/models/sdxl`, `${server.url}/models/sdxl-refiner`, PROMPT, { ...OPTIONS, steps: 4 }] as const);
    const pipeline = await Pipeline.open(join(folder, 'sdxl'), { refiner: join(folder, 'sdxl-refiner'), cut: 0.5 });
    const { data } = await pipeline.generate(PROMPT, { ...OPTIONS, steps: 4 });
    await pipeline.dispose();
    if (typeof made === 'string') throw new Error(made);
    expect(made.experts).toEqual(['base', 'refiner']);
    expect(furthest(data, made.pixels)).toBeLessThanOrEqual(2);
  }, 120_000);

  it('says what is not there, and what is damaged', async () => {
    expect(await inPage(`${server.url}/models/nothing`)).toMatch(/ModelError: model_index.json: not in http.*\/models\/nothing\//);
    expect(await inPage('org/none', server.url)).toMatch(/ModelError: org\/none: its list of files is not there/);
    expect(await inPage('org/damaged', server.url)).toMatch(/ModelError: unet\/model.onnx: .* gives \d+ bytes, which are not the \d+ of the expected SHA-256 000000000000… — the file is damaged/);
  }, 60_000);
});
