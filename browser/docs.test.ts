/* The documentation as a visitor finds it: built, served by a static server below some path, searched, and its programs run in the page. */
import { decodePng, loadEdiffi } from 'ediffi';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { liveCode } from '../docs/.vitepress/live.mjs';
import { inChromium, launch } from './chromium.js';
import { furthest } from './furthest.js';
import { serve } from '../scripts/serve.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** How many programs of each page run in it. */
const live = ['start', 'guide'].flatMap((folder) => readdirSync(join(root, 'docs', folder)).filter((name) => name.endsWith('.md')).map((name) => {
  const text = readFileSync(join(root, 'docs', folder, name), 'utf8');
  return [`${folder}/${name.replace('.md', '')}`, [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].filter(([, code]) => liveCode(code!) !== undefined).length] as const;
})).filter(([, count]) => count > 0);

inChromium('the documentation site', () => {
  let browser: Browser;
  let page: Page;
  let server: Awaited<ReturnType<typeof serve>>;
  const foreign: string[] = [];
  const missing: string[] = [];
  const folder = join(mkdtempSync(join(tmpdir(), 'ediffi-docs-')), 'site');
  const address = (path: string): string => `${server.url}/some/where/${path}`;
  beforeAll(async () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/docs.mjs', '--out', folder], { cwd: root, encoding: 'utf8', env: { ...process.env, NODE_ENV: 'production' } });
    if (status !== 0) throw new Error(`${stdout}${stderr}`);
    server = await serve({ '/some/where/': { folder } });
    browser = await launch();
    page = await browser.newPage();
    page.on('request', (request) => void (/^(blob|data):/.test(request.url()) || request.url().startsWith(server.url) || foreign.push(request.url())));
    page.on('response', (response) => void (response.status() >= 400 && missing.push(response.url())));
    page.on('pageerror', (error) => void missing.push(error.message));
  }, 300_000);
  afterAll(async () => {
    await Promise.all([browser?.close(), server?.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('has no link that leads nowhere, on the site or in the repository', () => {
    const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.html') && !name.startsWith('api'));
    const lost = pages.flatMap((name) => [...readFileSync(join(folder, name), 'utf8').matchAll(/href="([^"#?]+)/g)].flatMap(([, href]) => {
      const [, inRepository] = /^https:\/\/github\.com\/ediffi\/ediffi\/(?:blob|tree)\/main\/(.*)$/.exec(href!) ?? [];
      if (inRepository === undefined && /^[a-z]+:/.test(href!)) return [];
      const target = inRepository === undefined ? join(folder, dirname(name), decodeURI(href!)) : join(root, inRepository);
      return existsSync(target) ? [] : [`${name}: ${href}`];
    }));
    expect(pages.length).toBeGreaterThan(20);
    expect(lost).toEqual([]);
  });

  it('has programs to run', () => expect(live.length).toBeGreaterThanOrEqual(9));

  it.each(live)('%s: its %i program(s) run in the page', async (path, count) => {
    await page.goto(address(`${path}.html`));
    const blocks = page.locator('.live');
    expect(await blocks.count()).toBe(count);
    for (let i = 0; i < count; i++) {
      await blocks.nth(i).locator('button').click();
      await blocks.nth(i).and(page.locator('[data-state=done], [data-state=failed]')).waitFor({ timeout: 120_000 });
      expect(await blocks.nth(i).getAttribute('data-state'), await blocks.nth(i).innerText()).toBe('done');
    }
  }, 240_000);

  it('shows the picture that Node paints', async () => {
    await page.goto(address('start/node.html'));
    await page.locator('.live button').click();
    const url = await page.locator('.live img').getAttribute('src', { timeout: 60_000 });
    const bytes = await page.evaluate(async (src) => [...new Uint8Array(await (await fetch(src)).arrayBuffer())], url!);
    const shown = decodePng(Uint8Array.from(bytes));
    const ediffi = await loadEdiffi();
    const { data } = decodePng((await ediffi.generate('a panda in the snow', { seed: 7, steps: 8 })).toPng());
    await ediffi.dispose();
    expect(shown.data.length).toBe(data.length);
    expect(furthest(data, shown.data)).toBeLessThanOrEqual(2);
    await page.evaluate(() => Object.assign(globalThis, { same: true }));
    await page.locator('a.pager-link').last().click();
    await page.waitForURL((to) => !to.pathname.endsWith('start/node.html'));
    await page.locator(`img[src="${url}"]`).waitFor({ state: 'detached' });
    expect(await page.evaluate((src) => fetch(src).then(() => 'kept', () => 'freed'), url!)).toBe('freed');
    expect(await page.evaluate(() => 'same' in globalThis)).toBe(true); // one document all along, which would have taken its pictures with it
  }, 120_000);

  it('finds what is searched for, and leads there', async () => {
    await page.goto(address('index.html'));
    await page.locator('.DocSearch-Button').first().click();
    await page.locator('#localsearch-input').fill('brownian');
    await page.locator('#localsearch-list a').first().click();
    await page.waitForURL(/\/some\/where\/.+\.html/);
    expect((await page.locator('main').innerText()).toLowerCase()).toContain('brownian');
  }, 60_000);

  it('leads from its first page to the playground, and asks nobody else for anything', async () => {
    await page.goto(address('index.html'));
    await page.locator('nav a', { hasText: 'Playground' }).first().click();
    await page.waitForSelector('body[data-ready]');
    expect(foreign).toEqual([]);
    expect(missing).toEqual([]);
  }, 60_000);
});
