/* The playground as a visitor uses it: words chosen and painted with the mouse, the picture as Node paints it, and a page that never waits. */
import axe from 'axe-core';
import { float32 } from '@ediffi/core';
import { bestOf, decodePng, loadEdiffi, type GenerateOptions } from 'ediffi';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Request } from '../playground/protocol.js';
import { encode } from '../playground/share.js';
import { buildPlayground } from '../scripts/playground.mjs';
import { serve } from '../scripts/serve.mjs';
import { place, strokes } from '../scripts/visitor.mjs';
import { inChromium, launch } from './chromium.js';
import { furthest } from './furthest.js';

const STEPS = 6;

/** A page whose files are read when the test says so, and whose worker only remembers what it is asked. */
interface Held {
  readonly asked: Request[];
  /** Lets the file with this name be read: `8.png` is white and 8 × 8, `black 8.png` is black, `broken` is no picture. */
  read(name: string): void;
  /** Answers as the worker of a stopped picture does. */
  stopped(): void;
}

function hold(): void {
  const pending = new Map<string, () => void>();
  const asked: Request[] = [];
  const bitmap = globalThis.createImageBitmap;
  const workers: Worker[] = [];
  Worker.prototype.postMessage = function (this: Worker, request: Request) {
    workers.push(this);
    asked.push(request);
  };
  globalThis.createImageBitmap = (async (file: File) => {
    await new Promise<void>((resolve) => pending.set(file.name, resolve));
    if (file.name === 'broken') throw new DOMException('The source image could not be decoded.');
    const edge = Number(/\d+/.exec(file.name)![0]);
    const data = new Uint8ClampedArray(4 * edge * edge).fill(255);
    return bitmap(new ImageData(file.name.startsWith('black') ? data.map((value, i) => (i % 4 === 3 ? value : 0)) : data, edge, edge));
  }) as typeof createImageBitmap;
  const stopped = (): void => workers.at(-1)!.onmessage!(new MessageEvent('message', { data: { type: 'failed', message: '', stopped: true } }));
  Object.assign(globalThis, { asked, read: (name: string) => pending.get(name)!(), stopped } satisfies Held);
}

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

  const labels = (): Promise<number[]> => page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#canvas')!;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    return Array.from({ length: data.length / 4 }, (_, i) => (data[4 * i + 3] ? data[4 * i]! * 65536 + data[4 * i + 1]! * 256 + data[4 * i + 2]! : 0));
  });
  /** What the page asks for besides prompt and seed, with what is on its canvas. */
  async function pageOptions(): Promise<GenerateOptions> {
    const painted = await labels();
    const regions = ['red apple', 'beach'].map((phrase, i) => ({ phrase, mask: float32(painted.map((color) => Number(color === [0xd62839, 0x2f7de1][i])), [256, 256]) }));
    return { steps: STEPS, solver: 'eulerAncestral', guidance: 3, paint: { regions } };
  }
  /** The colours on a tab's canvas. */
  const seen = (of: Page): Promise<number[]> => of.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#canvas')!;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    return [...new Set(Array.from({ length: data.length / 4 }, (_, i) => (data[4 * i + 3] ? data[4 * i]! * 65536 + data[4 * i + 1]! * 256 + data[4 * i + 2]! : 0)))];
  });
  /** Another tab, as `hold` makes it. */
  async function holding(): Promise<{ own: Page; choose(id: string, name?: string): Promise<void>; read(name: string): Promise<void>; errors: string[] }> {
    const own = await page.context().newPage();
    const errors: string[] = [];
    own.on('pageerror', ({ message }) => void errors.push(message));
    await own.addInitScript(hold);
    await own.goto(`${server.url}/below/some/path/index.html`);
    await own.waitForSelector('body[data-ready]');
    return {
      own,
      choose: (id, name) => own.setInputFiles(`#${id}`, name === undefined ? [] : { name, mimeType: 'image/png', buffer: Buffer.from('any') }),
      read: (name) => own.evaluate((file) => ((globalThis as unknown as Held).read(file), new Promise<void>((resolve) => setTimeout(resolve, 100))), name),
      errors,
    };
  }
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
    await place(page, 'red', 'apple');
    await strokes(page, 0.6, 0.9, 0.6);
    await place(page, 'beach');
    await strokes(page, 0.1, 0.4, 0.8);
    const painted = await labels();
    expect(new Set(painted).size).toBe(3);
    await page.click('#undo');
    expect(new Set(await labels()).size).toBe(2);
    await page.keyboard.press('Control+Shift+Z');
    expect(await labels()).toEqual(painted);
    await page.click('#eraser');
    await page.locator('#brush-size').fill('60');
    await strokes(page, 0.05, 0.5, 0.8);
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

  it('is painted on by one finger at a time, and lets the page be scrolled by its picture', async () => {
    await page.locator('#canvas').scrollIntoViewIfNeeded();
    const before = await labels();
    const box = (await page.locator('#canvas').boundingBox())!;
    const at = (id: number, x: number, y: number): { id: number; x: number; y: number } => ({ id, x: box.x + x * box.width, y: box.y + y * box.height });
    const client = await page.context().newCDPSession(page);
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...touchPoints: ReturnType<typeof at>[]): Promise<unknown> => client.send('Input.dispatchTouchEvent', { type, touchPoints });
    await page.locator('#brush-size').fill('20');
    await touch('touchStart', at(0, 0.1, 0.1));
    await touch('touchMove', at(0, 0.3, 0.1));
    const first = await labels();
    expect(first.filter((color, i) => color !== before[i]).length).toBeGreaterThan(1000);
    await touch('touchStart', at(0, 0.3, 0.1), at(1, 0.3, 0.5));
    await touch('touchMove', at(0, 0.3, 0.1), at(1, 0.5, 0.5));
    expect(await labels()).toEqual(first); // neither the second finger nor a line to it
    await touch('touchMove', at(0, 0.6, 0.1)); // the second finger is gone
    await touch('touchEnd');
    expect((await labels()).filter((color, i) => color !== first[i]).length).toBeGreaterThan(1000);
    await page.keyboard.press('Control+z');
    expect(await labels()).toEqual(before);
    const action = (id: string): Promise<string[]> => page.locator(`#${id}`).evaluate((node) => [node, node.parentElement!].map((one) => getComputedStyle(one).touchAction));
    expect([await action('canvas'), await action('picture')]).toEqual([['none', 'auto'], ['auto', 'auto']]);
  });

  it('takes the pictures that were chosen last, and waits for them before it paints', async () => {
    const { own, choose, read, errors } = await holding();
    const asked = (): Promise<unknown[]> => own.evaluate(() => (globalThis as unknown as Held).asked.map((request) => (request.type === 'stop' ? 'stop' : [request.wish.style?.width, request.wish.image?.width].map((width) => width ?? 0))));
    const paint = async (): Promise<void> => {
      await own.click('#go');
      await own.evaluate(() => new Promise((resolve) => setTimeout(resolve, 20)));
    };
    const status = (): Promise<string | null> => own.textContent('#status');
    await choose('style', '40.png');
    await choose('style', '20.png');
    await read('20.png');
    await read('40.png');
    await paint();
    expect(await asked()).toEqual([[20, 0]]);
    await own.evaluate(() => (globalThis as unknown as Held).stopped());

    await choose('image', '30.png');
    await paint();
    expect((await asked()).length).toBe(1);
    await read('30.png');
    expect((await asked())[1]).toEqual([20, 30]);
    await own.evaluate(() => (globalThis as unknown as Held).stopped());

    await choose('image', '50.png');
    await paint();
    await own.click('#stop');
    expect([await status(), await own.isEnabled('#go')]).toEqual(['Stopped.', true]);
    await read('50.png');
    expect((await asked()).slice(2)).toEqual(['stop']);

    await choose('image', 'broken');
    await paint();
    await read('broken');
    expect([await status(), await own.inputValue('#image'), (await asked()).length]).toEqual(['Not painted: broken is no picture that this browser reads.', '', 3]);
    await choose('style');
    await paint();
    expect((await asked()).slice(3)).toEqual([[0, 0]]);
    expect(errors).toEqual([]);
    await own.close();
  });

  it('takes a mask for the words it was chosen for, or says why not', async () => {
    const { own, choose, read, errors } = await holding();
    const status = (): Promise<string | null> => own.textContent('#status');
    const [red, blue] = [0xd62839, 0x2f7de1];
    await place(own, 'red');
    await choose('mask', 'broken');
    await read('broken');
    expect([await status(), await own.inputValue('#mask'), await seen(own)]).toEqual(['broken is no picture that this browser reads.', '', [0]]);
    await choose('mask', '8.png');
    await choose('mask', 'black 9.png');
    await read('black 9.png');
    await read('8.png');
    expect(await seen(own)).toEqual([0]);
    await choose('mask', '8.png');
    await place(own, 'beach');
    await read('8.png');
    expect(await seen(own)).toEqual([red]);

    await choose('mask', '10.png');
    await own.click('[aria-label="Remove “beach”"]');
    await read('10.png');
    expect([await status(), await seen(own)]).toEqual(['The canvas changed while 10.png was read: choose it again.', [red]]);
    await place(own, 'car');
    await choose('mask', '11.png');
    await own.selectOption('#size', '384x256');
    await read('11.png');
    expect([await status(), await seen(own)]).toEqual(['The canvas changed while 11.png was read: choose it again.', [red]]);
    await choose('mask', '12.png');
    await read('12.png');
    expect(await seen(own)).toEqual([blue]);
    expect(errors).toEqual([]);
    await own.close();
  });

  it('opens a link in the page that is there already, and passes over what it does not know in it', async () => {
    const { own, errors } = await holding();
    const shared = { prompt: 'a lake', seed: 12, candidates: 3, steps: 9, solver: 'euler', guidance: 4, paint: 0.5, width: 384, height: 256, layers: [{ id: 3, phrase: 'lake', color: '#123456' }], labels: new Uint8Array(384 * 256).fill(3) };
    const shown = async (): Promise<unknown[]> => [await own.inputValue('#prompt'), await own.inputValue('#seed'), await own.inputValue('#candidates'), await own.inputValue('#size'), await own.locator('#words button').allTextContents(), await own.locator('.layers li').allTextContents(), await seen(own)];
    const open = async (link: object): Promise<void> => {
      const hash = await encode(link as typeof shared);
      await own.evaluate((to) => void (location.hash = to), hash);
      await own.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)));
    };
    const lake = ['a lake', '12', '3', '384x256', ['a', 'lake'], ['lake✕'], [0x123456]];
    await open(shared);
    expect(await shown()).toEqual(lake);
    expect(await own.isDisabled('#undo')).toBe(true);
    await open({ ...shared, prompt: 'a wood', width: 128, height: 768 }); // no size of ours
    await open({ ...shared, prompt: 'a wood', layers: [null] });
    expect(await shown()).toEqual(lake);
    await open({ ...shared, prompt: 'a wood', seed: 13, canvas: 1, nothing: 2 });
    expect(await shown()).toEqual(['a wood', '13', '3', '384x256', ['a', 'wood'], ['lake✕'], [0x123456]]);
    await own.reload();
    await own.waitForSelector('body[data-ready]', { timeout: 5000 });
    expect((await shown())[0]).toBe('a wood');
    expect(errors).toEqual([]);
    await own.close();
  });

  it('paints the picture that Node paints, within 2/255, with no task of 100 ms on the page, and stops when asked', async () => {
    await steps(STEPS);
    await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline'] });
    await page.keyboard.press('Control+Enter');
    await page.waitForFunction(() => /painted/i.test(document.querySelector('#status')!.textContent!), undefined, { timeout: 55_000 });
    const tasks = tasksOf(await browser.stopTracing());
    expect(await page.textContent('#status')).toMatch(/^Seed 7 painted in .* wasm, 1 thread/);
    expect(await page.locator('#timeline li').allTextContents()).toEqual([expect.stringMatching(/^high \d/), expect.stringMatching(/^middle \d/), expect.stringMatching(/^low \d/), expect.stringMatching(/^sr1-high \d/), expect.stringMatching(/^sr1-low \d/), expect.stringMatching(/^sr2 \d/)]);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    expect(await page.evaluate(() => [...document.querySelectorAll<HTMLCanvasElement>('#canvas, #picture')].map(({ width, height }) => [width, height]))).toEqual([[256, 256], [256, 256]]);
    const { data } = decodePng(new Uint8Array(readFileSync((await download.path())!)));
    const colors = [...new Set(await labels())];
    expect(colors).toContain(0xd62839);
    const ediffi = await loadEdiffi();
    const inNode = await ediffi.generate('a red apple on the beach', { seed: 7, ...(await pageOptions()) });
    await ediffi.dispose();
    const own = decodePng(inNode.toPng()).data;
    expect(furthest(own, data)).toBeLessThanOrEqual(2);
    expect(tasks.length).toBeGreaterThan(50);
    expect(Math.max(...tasks)).toBeLessThan(100);

    await page.click('#go');
    await page.waitForFunction(() => /^Seed 7 · step 2/.test(document.querySelector('#status')!.textContent!));
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.querySelector('#status')!.textContent === 'Stopped.');
  });

  it('paints the best of two: the one that Node chooses', async () => {
    await page.fill('#seed', '8');
    await page.locator('#candidates').fill('2');
    await page.click('#go');
    await page.waitForFunction(() => /painted/i.test(document.querySelector('#status')!.textContent!), undefined, { timeout: 55_000 });
    const ediffi = await loadEdiffi();
    const { picture } = await bestOf(ediffi, 'a red apple on the beach', { seed: 8, candidates: 2, ...(await pageOptions()) }).finish();
    await ediffi.dispose();
    expect(await page.textContent('#status')).toMatch(new RegExp(`^Seed ${picture.metadata.seed} painted in `));
    await page.locator('#candidates').fill('1');
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
