/* Every graph of the embedded model on WebGPU, against PyTorch. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bundle, html, inChromium, launch, MODEL, RUNTIME, SOFTWARE_GPU } from './chromium.js';
import { serve } from '../scripts/serve.mjs';

/** The judge is no part of the model; one expert, painted, stands for the three of one shape. */
const LEFT_OUT = ['classifier', 'base-high', 'base-low'];
const names = readdirSync(join(MODEL, 'golden')).map((name) => name.replace('.json', '')).filter((name) => !LEFT_OUT.includes(name));

inChromium('the embedded model on WebGPU, a software adapter', () => {
  let browser: Browser;
  let page: Page;
  let server: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    browser = await launch(SOFTWARE_GPU);
    server = await serve({ '/index.html': { text: html('page.js') }, '/page.js': { text: await bundle('browser/pages/goldens.ts') }, '/ort/': { folder: RUNTIME }, '/model/': { folder: MODEL } });
    page = await browser.newPage();
    await page.goto(`${server.url}/index.html`);
    await page.waitForFunction(() => 'gaps' in globalThis);
  });
  afterAll(async () => void (await Promise.all([browser?.close(), server?.close()])));

  it.each(names)('%s equals PyTorch within 1e-3', async (name) => {
    const { plain, painted = 0 } = await page.evaluate((graph) => (globalThis as unknown as { gaps(graph: string): Promise<{ plain: number; painted?: number }> }).gaps(graph), name);
    expect(Math.max(plain, painted)).toBeLessThanOrEqual(1e-3);
  }, 240_000);
});
