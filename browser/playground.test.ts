/* The playground as a visitor uses it: words chosen and painted with the mouse, the picture as Node paints it, and a page that never waits. */
import axe from 'axe-core';
import { float32 } from '@ediffi/core';
import { decodePng, loadEdiffi } from 'ediffi';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildPlayground } from '../scripts/playground.mjs';
import { serve } from '../scripts/serve.mjs';
import { inChromium, launch } from './chromium.js';
import { furthest } from './furthest.js';

const STEPS = 6;

/** Milliseconds that the page's main thread worked for each of its tasks: its own time, so that a busy machine does not count against the page. */
function tasksOf(trace: Buffer): number[] {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: { name: string; pid: number; tid: number; tdur?: number; args?: { name?: string } }[] };
  const mains = new Set(traceEvents.filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain').map(({ pid, tid }) => `${pid} ${tid}`));
  return traceEvents.filter(({ name, pid, tid, tdur }) => name.endsWith('RunTask') && tdur !== undefined && mains.has(`${pid} ${tid}`)).map(({ tdur }) => tdur! / 1000);
}

inChromium('the playground', () => {
  let browser: Browser;
  let page: Page;
  let server: Awaited<ReturnType<typeof serve>>;
  const folder = join(mkdtempSync(join(tmpdir(), 'ediffi-playground-')), 'site');
  beforeAll(async () => {
    await buildPlayground(folder);
    server = await serve({ '/below/some/path/': { folder } });
    browser = await launch();
    page = await (await browser.newContext({ viewport: { width: 1280, height: 1000 } })).newPage();
    await page.goto(`${server.url}/below/some/path/index.html`);
    await page.waitForSelector('body[data-ready]');
  });
  afterAll(async () => {
    await Promise.all([browser?.close(), server?.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  const word = (text: string): Promise<void> => page.locator('#words button', { hasText: new RegExp(`^${text}$`) }).click();
  const place = async (...words: string[]): Promise<void> => {
    for (const text of words) await word(text);
    await page.click('#add-layer');
  };
  /** A horizontal stroke, in shares of the canvas. */
  async function stroke(x0: number, x1: number, y: number): Promise<void> {
    const box = (await page.locator('#canvas').boundingBox())!;
    await page.mouse.move(box.x + x0 * box.width, box.y + y * box.height);
    await page.mouse.down();
    await page.mouse.move(box.x + x1 * box.width, box.y + y * box.height, { steps: 4 });
    await page.mouse.up();
  }
  const labels = (): Promise<number[]> => page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#canvas')!;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    return Array.from({ length: data.length / 4 }, (_, i) => (data[4 * i + 3] ? data[4 * i]! * 65536 + data[4 * i + 1]! * 256 + data[4 * i + 2]! : 0));
  });
  const steps = (count: number): Promise<void> => page.locator('#steps').fill(String(count));

  it('has nothing serious that axe finds, in light and dark, on a desk and a phone', async () => {
    await page.evaluate(axe.source);
    for (const [theme, width] of [['light', 1280], ['dark', 1280], ['light', 390]] as const) {
      await page.setViewportSize({ width, height: 1000 });
      await page.evaluate((name) => (document.documentElement.dataset['theme'] = name), theme);
      const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
      expect(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), `${theme} ${width}`).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), `${width} wide`).toBeLessThanOrEqual(width);
    }
    await page.setViewportSize({ width: 1280, height: 1000 });
  });

  it('paints two phrases with the mouse; undo, eraser and keyboard work', async () => {
    await page.fill('#prompt', '');
    await page.locator('#prompt').pressSequentially('a red apple on the beach');
    await place('red', 'apple');
    await stroke(0.6, 0.9, 0.6);
    await place('beach');
    await stroke(0.1, 0.4, 0.8);
    const painted = await labels();
    expect(new Set(painted).size).toBe(3);
    await page.click('#undo');
    expect(new Set(await labels()).size).toBe(2);
    await page.keyboard.press('Control+Shift+Z');
    expect(await labels()).toEqual(painted);
    await page.click('#eraser');
    await page.locator('#brush-size').fill('60');
    await stroke(0.05, 0.5, 0.8);
    expect(new Set(await labels()).size).toBe(2);
    await page.keyboard.press('Control+z');
    await page.focus('#canvas');
    await page.keyboard.press('b');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press(' ');
    expect(await labels()).not.toEqual(painted);
    await page.keyboard.press('Control+z');
    expect(await labels()).toEqual(painted);
  });

  it('paints the picture that Node paints, within 2/255, with no task of 100 ms on the page, and stops when asked', async () => {
    await steps(STEPS);
    await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
    await page.keyboard.press('Control+Enter');
    await page.waitForFunction(() => /Painted|Not painted/.test(document.querySelector('#status')!.textContent!), undefined, { timeout: 55_000 });
    const tasks = tasksOf(await browser.stopTracing());
    expect(await page.textContent('#status')).toMatch(/^Painted in .* wasm, 1 thread/);
    expect(await page.locator('#timeline li').allTextContents()).toEqual([expect.stringMatching(/^high \d/), expect.stringMatching(/^middle \d/), expect.stringMatching(/^low \d/), expect.stringMatching(/^sr1-high \d/), expect.stringMatching(/^sr1-low \d/), expect.stringMatching(/^sr2 \d/)]);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    expect(await page.evaluate(() => [...document.querySelectorAll<HTMLCanvasElement>('#canvas, #picture')].map(({ width, height }) => [width, height]))).toEqual([[256, 256], [256, 256]]);
    const { data } = decodePng(new Uint8Array(readFileSync((await download.path())!)));
    const colors = [...new Set(await labels())];
    const painted = await labels();
    const regions = ['red apple', 'beach'].map((phrase, i) => ({ phrase, mask: float32(painted.map((color) => Number(color === [0xd62839, 0x2f7de1][i])), [256, 256]) }));
    expect(colors).toContain(0xd62839);
    const ediffi = await loadEdiffi();
    const inNode = await ediffi.generate('a red apple on the beach', { seed: 7, steps: STEPS, solver: 'eulerAncestral', guidance: 3, paint: { regions } });
    await ediffi.dispose();
    const own = decodePng(inNode.toPng()).data;
    expect(furthest(own, data)).toBeLessThanOrEqual(2);
    expect(tasks.length).toBeGreaterThan(50);
    expect(Math.max(...tasks)).toBeLessThan(100);

    await page.click('#go');
    await page.waitForFunction(() => /^Step 2/.test(document.querySelector('#status')!.textContent!));
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.querySelector('#status')!.textContent === 'Stopped.');
  });

  it('keeps prompt, canvas and seed in its link, and works without a network afterwards', async () => {
    const painted = await labels();
    await page.fill('#seed', '11');
    await page.click('#share');
    await page.waitForFunction(() => location.hash.length > 40);
    const link = page.url();
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload(); // once under the service worker: now it has seen every file of the page
    await page.waitForSelector('body[data-ready]');
    await server.close();
    await page.goto('about:blank');
    await page.goto(link);
    await page.waitForSelector('body[data-ready]');
    expect(await labels()).toEqual(painted);
    expect(await page.inputValue('#seed')).toBe('11');
    expect(await page.inputValue('#prompt')).toBe('a red apple on the beach');
  });
});
