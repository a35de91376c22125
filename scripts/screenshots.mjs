// The playground's pictures in README and docs: a visitor paints two phrases and looks at the result, in light, in dark and on a phone.
//   node scripts/screenshots.mjs      writes docs/images/playground{,-dark,-phone}.png; needs the build and Chromium
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureChromium, launch } from './chromium.mjs';
import { buildPlayground } from './playground.mjs';
import { serve } from './serve.mjs';
import { place, strokes } from './visitor.mjs';

const images = fileURLToPath(new URL('../docs/images/', import.meta.url));
const found = ensureChromium();
if (found.fail ?? found.skip) throw new Error(found.fail ?? found.skip);
const folder = mkdtempSync(join(tmpdir(), 'ediffi-screens-'));
await buildPlayground(folder);
const server = await serve({ '/': { folder } }, { isolated: true });
const browser = await launch();
const page = await (await browser.newContext({ viewport: { width: 1240, height: 1000 } })).newPage();
await page.goto(`${server.url}/index.html`);
await page.waitForSelector('body[data-ready]');

await page.fill('#prompt', '');
await page.locator('#prompt').pressSequentially('a red car on the beach');
await page.locator('#brush-size').fill('80');
await place(page, 'red', 'car');
await strokes(page, 0.6, 0.9, 0.45, 0.65);
await place(page, 'beach');
await strokes(page, 0.02, 0.36, 0.25, 0.45, 0.65, 0.85);
await page.click('#go');
await page.waitForFunction(() => /painted/i.test(document.querySelector('#status').textContent), undefined, { timeout: 120_000 });
for (const [name, theme, width] of [['playground', 'light', 1240], ['playground-dark', 'dark', 1240], ['playground-phone', 'light', 390]]) {
  await page.setViewportSize({ width, height: 1000 });
  await page.evaluate((value) => (document.documentElement.dataset.theme = value), theme);
  await page.screenshot({ path: join(images, `${name}.png`), fullPage: true });
}
await browser.close();
await server.close();
rmSync(folder, { recursive: true, force: true });
