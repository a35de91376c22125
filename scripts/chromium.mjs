// A Chromium for the browser tests: $CHROMIUM, or one that is installed, or (Debian and its like, as root) the package of that name.
//   node scripts/chromium.mjs      prints its path
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const QUIET = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const MAC = ['/Applications/Chromium.app/Contents/MacOS/Chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

const runs = (path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
const onPath = (name) => (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)).find(runs);

/** The browser's path, or undefined. */
export const findChromium = () => process.env.CHROMIUM ?? NAMES.map(onPath).find(Boolean) ?? MAC.find(existsSync);

/** Starts Chromium without a window. @param {readonly string[]} [flags] @returns {Promise<import('playwright-core').Browser>} */
export async function launch(flags = []) {
  const { chromium } = await import('playwright-core'); // `npm test` asks for the path alone
  const { LD_PRELOAD: _, ...env } = process.env;
  return chromium.launch({ executablePath: findChromium(), headless: true, args: [...QUIET, ...flags], env });
}

/** { path }, { skip: why } on machines without apt, or { fail: why } where apt could not install it. */
export function ensureChromium() {
  const path = findChromium();
  if (path) return { path };
  if (process.platform !== 'linux' || !onPath('apt-get')) return { skip: 'no Chromium or Chrome here — install one, or set CHROMIUM to its path' };
  console.log('installing chromium for the browser tests (apt-get install chromium)');
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [['apt-get', 'update', '-qq'], ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'chromium']]) {
    const [command, ...rest] = [...sudo, ...args];
    const { status, stderr, error } = spawnSync(command, rest, { env, encoding: 'utf8', timeout: 600_000 });
    if (status !== 0) return { fail: `the browser tests need Chromium, and "${args.join(' ')}" failed: ${(stderr || String(error ?? status)).trim().split('\n').at(-1)} — install it, or set CHROMIUM to its path` };
  }
  const installed = findChromium();
  return installed ? { path: installed } : { fail: 'apt installed chromium, but it is not on PATH — set CHROMIUM to its path' };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { path, skip, fail } = ensureChromium();
  console.log(path ?? skip ?? fail);
  process.exit(path ? 0 : 1);
}
