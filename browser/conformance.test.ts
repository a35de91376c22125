/* The conformance suite in a real browser: each case runs in the page and is reported here under its own name. */
import { reference } from '@ediffi/backends/reference';
import { backendCases } from '@ediffi/backends/conformance';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, html, inChromium, launch, RUNTIME, SOFTWARE_GPU } from './chromium.js';
import { serve } from '../scripts/serve.mjs';

type Window = { warm(suite: string): Promise<string>; runCase(suite: string, name: string): Promise<string | undefined>; device(): string; lose(): Promise<string[]>; missing(): Promise<string> };
const names = backendCases(() => reference()).map(({ name }) => name); // the page has the same ones; only names are taken here

/** ONNX Runtime whose WebGPU device dies when a session runs for the third time. */
const MORTAL = `
import * as ort from './ort/ort.webgpu.bundle.min.mjs';
export const { env, Tensor } = ort;
let runs = 0;
export const InferenceSession = { async create(...given) {
  const session = await ort.InferenceSession.create(...given);
  const { inputMetadata, outputMetadata } = session;
  return { inputMetadata, outputMetadata, release: () => session.release(), async run(feeds) {
    if (++runs === 3) { (await env.webgpu.device).destroy(); await new Promise(() => {}); }
    return session.run(feeds);
  } };
} };`;

inChromium('backends in Chromium', () => {
  let browser: Browser;
  const servers: Awaited<ReturnType<typeof serve>>[] = [];
  beforeAll(async () => void (browser = await launch(SOFTWARE_GPU)));
  afterAll(async () => void (await Promise.all([browser?.close(), ...servers.map((server) => server.close())])));

  async function open(suite: string, isolated: boolean): Promise<Page> {
    const server = await serve({ '/': { folder: '/nowhere' }, '/index.html': { text: html('page.js') }, '/page.js': { text: await bundle('browser/pages/conformance.ts') }, '/mortal.mjs': { text: MORTAL }, '/ort/': { folder: RUNTIME } }, { isolated });
    servers.push(server);
    const page = await browser.newPage();
    await page.goto(`${server.url}/index.html`);
    await page.waitForFunction(() => 'runCase' in globalThis);
    await page.evaluate((name) => (globalThis as unknown as Window).warm(name), suite);
    return page;
  }
  const device = (page: Page): Promise<string> => page.evaluate(() => (globalThis as unknown as Window).device());
  const inPage = (page: Page, suite: string, name: string): Promise<string | undefined> => page.evaluate(([s, n]) => (globalThis as unknown as Window).runCase(s!, n!), [suite, name]);

  describe('ort-web', () => {
    let page: Page;
    beforeAll(async () => void (page = await open('wasm', false)));
    afterAll(() => page?.close());
    it('says that there is one thread, and why', async () => expect(await device(page)).toBe('wasm, 1 thread, for the page is not cross-origin isolated'));
    it.each(names)('%s', async (name) => expect(await inPage(page, 'wasm', name)).toBeUndefined());
  });

  describe('ort-web with threads, on a cross-origin isolated page', () => {
    let page: Page;
    beforeAll(async () => void (page = await open('wasm', true)));
    afterAll(() => page?.close());
    it('says how many', async () => expect(await device(page)).toBe('wasm, 2 threads'));
    it.each(names.filter((name) => /paints|timers|in the middle/.test(name)))('%s', async (name) => expect(await inPage(page, 'wasm', name)).toBeUndefined());
  });

  describe('ort-webgpu on a software adapter, within 1e-3', () => {
    let page: Page;
    beforeAll(async () => void (page = await open('webgpu', false)));
    afterAll(() => page?.close());
    // A software adapter takes seconds for each: the cases that compute, and those that only the realm's one queue could break.
    const ours = /computes|convolves|lays|looks up|float16|paints|standard deviation|strength 0|two sessions|after dispose|timers|works|on its device|where its device|loads again/;
    for (const { name, skip } of backendCases(() => reference(), { blocking: 'one call at a time', noFloat16: 'SwiftShader has no shader-f16' }).filter((known) => ours.test(known.name))) {
      if (skip !== undefined) it.skip(`${name} (${skip})`, () => undefined);
      else it(name, async () => expect(await inPage(page, 'webgpu', name)).toBeUndefined());
    }
    it.each(names.filter((name) => /^computes|paints|where its device/.test(name)))('with tensors on the host: %s', async (name) => expect(await inPage(page, 'webgpu, tensors on the host', name)).toBeUndefined());
    it('says so when the device is lost, to what is open and to what comes after', async () => {
      expect(await page.evaluate(() => (globalThis as unknown as Window).lose())).toEqual([expect.stringMatching(/^BackendError: .*the WebGPU device was lost/), expect.stringMatching(/^BackendError: .*the WebGPU device was lost/)]);
    });
  });

  it('names the runtime that is not there, and a worker that may not start', async () => {
    const page = await open('wasm', false);
    expect(await page.evaluate(() => (globalThis as unknown as Window).missing())).toMatch(/^BackendError: .*Failed to fetch dynamically imported module/);
    await page.close();
  });
});
