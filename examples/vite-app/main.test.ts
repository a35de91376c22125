/* The app as `npm run build` makes it, used in Chromium. */
import { decodePng, loadEdiffi } from 'ediffi';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Browser } from 'playwright-core';
import { inChromium, launch } from '../../browser/chromium.js';
import { furthest, inRgba } from '../../browser/furthest.js';
import { serve } from '../../scripts/serve.mjs';

const folder = fileURLToPath(new URL('.', import.meta.url));
const run = (...args: string[]): void => {
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, NODE_ENV: 'production' } });
  if (status !== 0) throw new Error(stderr);
};

inChromium('the Vite app', () => {
  let browser: Browser;
  let server: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    run('copy-model.mjs');
    run('node_modules/vite/bin/vite.js', 'build', '--logLevel', 'warn');
    browser = await launch();
    server = await serve({ '/': { folder: join(folder, 'dist') } });
  }, 120_000);
  afterAll(async () => {
    await Promise.all([browser?.close(), server?.close()]);
    for (const name of ['dist', 'public']) rmSync(join(folder, name), { recursive: true, force: true });
  });

  it('paints what Node paints, stops when asked and says so', async () => {
    const page = await browser.newPage();
    await page.goto(`${server.url}/index.html`);
    await page.fill('[name=prompt]', 'a red apple on the beach');
    await page.fill('[name=steps]', '60');
    await page.click('text=Paint');
    await page.waitForFunction(() => Number.parseInt(document.querySelector('output')!.value) >= 2, undefined, { timeout: 60_000 }); // “2/60”, or later: a busy page is looked at now and then
    await page.click('text=Stop');
    await page.waitForFunction(() => document.querySelector('output')!.value === 'stopped');
    await page.fill('[name=steps]', '4');
    await page.click('text=Paint');
    const canvas = page.locator('canvas[data-finished="a red apple on the beach"]');
    await canvas.waitFor({ timeout: 60_000 });
    const url = await canvas.evaluate((element) => (element as HTMLCanvasElement).toDataURL());
    const shown = decodePng(Uint8Array.from(Buffer.from(url.split(',')[1]!, 'base64')));
    const ediffi = await loadEdiffi();
    const { data } = await ediffi.generate('a red apple on the beach', { seed: 7, steps: 4 });
    await ediffi.dispose();
    const channels = shown.data.length / (shown.width * shown.height);
    expect(shown.width * shown.height * 3).toBe(data.length);
    expect(furthest(data, shown.data, channels === 4 ? inRgba : undefined)).toBeLessThanOrEqual(2);
    await page.close();
  }, 120_000);
});
