/* The embedded model in a page: the same picture as in Node, and from a cache the second time. */
import { createBackend } from '@ediffi/backends/auto';
import { serve as serveGraphs } from '@ediffi/backends/serve';
import { loadModel } from '@ediffi/model';
import { loadEdiffi, type GenerateOptions } from 'ediffi';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundle, html, inChromium, launch, MODEL, RUNTIME, SOFTWARE_GPU } from './chromium.js';
import { furthest } from './furthest.js';
import type { PaintPage } from './pages/paint.js';
import { serve } from '../scripts/serve.mjs';

const PROMPT = 'a red car on the beach';
const canvas = { width: 2, height: 1, data: Uint8Array.of(255, 255, 255, 255, 255, 0, 0, 255) }; // white | red
const OPTIONS: GenerateOptions = { seed: 7, steps: 6, stages: { sr1: { steps: 2 } }, paint: { canvas, colors: { '#ff0000': 'a red car' } } };
declare const page: PaintPage; // in the page
/** As little as loads an encoder and an expert. */
const QUICK: GenerateOptions = { seed: 7, steps: 1, upscale: false, encoders: ['t5'] };
const paintIn = (tab: Page, wanted = OPTIONS): ReturnType<PaintPage['paint']> =>
  tab.evaluate(([prompt, options, pixels]) => {
    const paint = { ...options.paint, canvas: { width: 2, height: 1, data: Uint8Array.from(pixels) } };
    return page.paint(prompt, { ...options, paint } as GenerateOptions);
  }, [PROMPT, wanted, [...canvas.data]] as const);

inChromium('the embedded model in Chromium', () => {
  let browser: Browser;
  let context: BrowserContext;
  let server: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    browser = await launch(SOFTWARE_GPU);
    context = await browser.newContext();
    server = await serve({ '/index.html': { text: html('page.js') }, '/page.js': { text: await bundle('browser/pages/paint.ts') }, '/ort/': { folder: RUNTIME }, '/model/': { folder: MODEL } });
  });
  afterAll(async () => void (await Promise.all([browser?.close(), server?.close()])));

  async function open(): Promise<Page> {
    const tab = await context.newPage();
    await tab.goto(`${server.url}/index.html`);
    await tab.waitForFunction(() => 'page' in globalThis);
    return tab;
  }

  it('paints what Node paints, within 2/255, stops when asked, and paints the same again', async () => {
    const tab = await open();
    await tab.evaluate(() => page.open());
    const { pixels, files, experts } = await paintIn(tab);
    const ediffi = await loadEdiffi();
    const { data } = await ediffi.generate(PROMPT, OPTIONS);
    await ediffi.dispose();
    expect(pixels.length).toBe(data.length);
    expect(furthest(data, pixels)).toBeLessThanOrEqual(2);
    expect(files).toContain('weights/base-high.onnx');
    expect(experts).toEqual(['high', 'middle', 'low', 'sr1-high', 'sr1-low', 'sr2']);
    expect(await tab.evaluate((prompt) => page.abort(prompt), PROMPT)).toBe('Error: enough');
    expect((await paintIn(tab)).pixels).toEqual(pixels); // works afterwards, and gives the same bytes again
    await tab.close();
  });

  it('paints it on a (software) graphics processor too: pictures, noise and embeddings stay there between steps', async () => {
    const options: GenerateOptions = { ...OPTIONS, steps: 2, solver: 'euler-ancestral', upscale: 'sr1', stages: { sr1: { steps: 1, solver: 'euler' } } };
    const tab = await open();
    await tab.evaluate(() => page.openGpu());
    const { pixels } = await paintIn(tab, options);
    const ediffi = await loadEdiffi();
    const { data } = await ediffi.generate(PROMPT, options);
    await ediffi.dispose();
    expect(furthest(data, pixels)).toBeLessThanOrEqual(2);
    await tab.close();
  }, 240_000);

  it('paints on a server that allows the page, the very bytes that Node paints, and downloads no weights', async () => {
    const [engine, model] = [await createBackend(), await loadModel()];
    const remote = await serveGraphs(engine, model.graphs(), { port: 0, origins: [server.url] });
    const stranger = await serveGraphs(engine, model.graphs(), { port: 0 });
    const tab = await open();
    try {
      const before = server.asked.length;
      await tab.evaluate((url) => page.openRemote(url), remote.url);
      const { pixels } = await paintIn(tab);
      const ediffi = await loadEdiffi();
      const { data } = await ediffi.generate(PROMPT, OPTIONS);
      await ediffi.dispose();
      expect(pixels).toEqual([...data]);
      expect(server.asked.slice(before).filter((path) => path.includes('weights/'))).toEqual([]);
      await tab.evaluate((url) => page.openRemote(url), stranger.url);
      await expect(tab.evaluate((quick) => page.paint('a cat', quick), QUICK)).rejects.toThrow(/no answer — is the server there, and does it allow this page/);
    } finally {
      await tab.close();
      await Promise.all([remote.close(), stranger.close()]);
      await engine.dispose();
    }
  }, 240_000);

  it('takes its weights from the cache the second time, and everything where there is no network', async () => {
    const tab = await open();
    await context.route('**/model/**', (route) => route.abort('internetdisconnected'));
    try {
      await tab.evaluate(() => page.open());
      const { files } = await tab.evaluate((quick) => page.paint('a cat', quick), QUICK);
      expect(files.filter((path) => path.startsWith('cached:weights/'))).toEqual(expect.arrayContaining(['cached:weights/t5.onnx', 'cached:weights/base-high.onnx']));
      expect(files.filter((path) => path.startsWith('weights/'))).toEqual([]);
    } finally {
      await context.unroute('**/model/**');
      await tab.close();
    }
  });

  it('downloads again what does not fit its hash, and lives without room or cache', async () => {
    const asked = (): number => server.asked.filter((path) => path === '/model/weights/t5.onnx').length;
    const tab = await open();
    await tab.evaluate(async () => (await caches.open('ediffi')).put(new URL('model/weights/t5.onnx', document.baseURI).href, new Response('damaged')));
    await tab.evaluate(() => page.open());
    const before = asked();
    await tab.evaluate((quick) => page.paint('a cat', quick), QUICK);
    expect(asked()).toBe(before + 1);
    await tab.evaluate(async () => {
      await caches.delete('ediffi');
      Cache.prototype.put = () => Promise.reject(new DOMException('no room', 'QuotaExceededError'));
      await page.open();
    });
    const { files } = await tab.evaluate((quick) => page.paint('a cat', quick), QUICK);
    expect(files).toContain('weights/t5.onnx');
    await tab.close();
  });
});
