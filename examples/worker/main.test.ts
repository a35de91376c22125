import { loadEdiffi } from 'ediffi';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Browser } from 'playwright-core';
import { bundle, html, inChromium, launch, MODEL, RUNTIME } from '../../browser/chromium.js';
import { furthest, inRgba } from '../../browser/furthest.js';
import { serve } from '../../scripts/serve.mjs';
import type { painter as Painter } from './page.js';

declare const painter: typeof Painter; // in the page

inChromium('the SDK in a worker', () => {
  let browser: Browser;
  let server: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    browser = await launch();
    const scripts = { '/page.js': { text: await bundle('examples/worker/page.ts') }, '/worker.js': { text: await bundle('examples/worker/worker.ts') } };
    server = await serve({ '/index.html': { text: html('page.js') }, ...scripts, '/ort/': { folder: RUNTIME }, '/model/': { folder: MODEL } });
  });
  afterAll(async () => void (await Promise.all([browser?.close(), server?.close()])));

  it('paints two pictures that Node paints too, shows their steps, says what is wrong with a third, while the page goes on', async () => {
    const page = await browser.newPage();
    await page.goto(`${server.url}/index.html`);
    await page.waitForFunction(() => 'painter' in globalThis);
    const { pictures, steps, failure, ticks } = await page.evaluate(async () => {
      const { paint, end } = painter('worker.js');
      const steps: string[] = [];
      let ticks = 0;
      const timer = setInterval(() => ticks++, 20);
      const [cat, car, failure] = await Promise.all([
        paint({ prompt: 'a cat', seed: 3, steps: 3 }, (step, count, { width }) => steps.push(`${step + 1}/${count} ${width}`)),
        paint({ prompt: 'a red car', seed: 4, steps: 3 }),
        paint({ prompt: 'a cat', seed: 3, steps: 0 }).catch(String),
      ]);
      clearInterval(timer);
      end();
      return { pictures: [cat, car].map((picture) => [...picture.data]), steps, failure, ticks };
    });
    const ediffi = await loadEdiffi();
    for (const [i, [prompt, seed]] of ([['a cat', 3], ['a red car', 4]] as const).entries()) {
      const { data } = await ediffi.generate(prompt, { seed, steps: 3 });
      expect(furthest(data, pictures[i]!, inRgba)).toBeLessThanOrEqual(2);
    }
    await ediffi.dispose();
    expect(steps).toEqual(['1/6 32', '2/6 32', '3/6 32', '4/6 128', '5/6 128', '6/6 256']);
    expect(failure).toMatch(/steps/);
    expect(ticks).toBeGreaterThan(5);
    await page.close();
  }, 120_000);
});
