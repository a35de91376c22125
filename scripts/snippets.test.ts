/* Programs in the README, the documentation and the `@example`s of the API do what they say: every `ts` block that begins with an import is run. `ts page` is for browsers. */
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodePng, encodePng, readPngText } from 'ediffi';
import { fixtureFolder } from '../packages/ediffi/src/testing/parity.js';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = ['README.md', 'packages/ediffi/README.md', ...['start', 'guide'].flatMap((folder) => readdirSync(join(root, 'docs', folder)).filter((name) => name.endsWith('.md')).map((name) => `docs/${folder}/${name}`))];
const sources = readdirSync(join(root, 'packages'), { recursive: true, encoding: 'utf8' }).filter((name) => /^\w+[\\/]src[\\/].*(?<!\.test)\.ts$/.test(name)).map((name) => `packages/${name.replaceAll('\\', '/')}`);
/** What stands in docblocks, without their stars; other lines of code become empty. */
const docblocks = (code: string): string => code.replace(/^(?! ?\s*\*( |$)).*$/gm, '').replace(/^\s*\* ?/gm, '');
const programs = [...pages, ...sources].flatMap((page) => {
  const file = readFileSync(join(root, page), 'utf8');
  const text = page.endsWith('.ts') ? docblocks(file) : file;
  return [...text.matchAll(/^```ts\n(import [\s\S]*?)^```$/gm)].map(({ 1: code, index }) => ({ page, line: text.slice(0, index).split('\n').length, code: code! }));
});
const folder = join(root, 'out', 'snippets');
const home = process.cwd();
const work = mkdtempSync(join(tmpdir(), 'ediffi-snippets-'));
beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  process.chdir(work); // what they write stays out of the repository
  await fixtureFolder('sd15-controlnet', 'sd15-controlnet-onnx');
  await fixtureFolder('sd15-image-prompt', 'sd15-ip-adapter-onnx');
  const config = 'sd15-ip-adapter-onnx/unet/config.json';
  writeFileSync(config, readFileSync(config, 'utf8').replace('"sample_size": 64', '"sample_size": 8')); // 64 × 64 by default: the programs say no size
  for (const name of ['outlines.png', 'garden.png']) writeFileSync(name, encodePng({ width: 2, height: 1, data: Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 255) }));
});
afterAll(() => {
  process.chdir(home);
  for (const path of [folder, work]) rmSync(path, { recursive: true, force: true });
});

afterEach(() => vi.restoreAllMocks());

/** Runs a program; gives what it logs. */
async function run({ page, line, code }: (typeof programs)[number]): Promise<string[]> {
  const logged = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const path = join(folder, `${page.replace(/\W/g, '-')}-${line}.ts`);
  writeFileSync(path, code);
  await import(`/${relative(root, path)}`);
  return logged.mock.calls.map((values) => values.join(' '));
}

it('README.md: ten lines, a painted picture with its text chunks', async () => {
  const readme = programs.find(({ page }) => page === 'README.md')!;
  const logged = await run(readme);
  const png = new Uint8Array(readFileSync('car.png'));
  expect(decodePng(png).width).toBe(256);
  expect(readPngText(png)).toMatchObject({ prompt: 'a red car on the beach', seed: '7' });
  expect(logged[0]).toMatch(/^1\/28 high σ 40\.00$/);
  expect(readme.code.trim().split('\n').filter(Boolean).length).toBeLessThanOrEqual(10);
}, 240_000);

it('no program imports what it does not use', () => {
  for (const { page, line, code } of programs) {
    for (const name of [...code.matchAll(/import \{([^}]*)\}/g)].flatMap((match) => match[1]!.split(',').map((part) => part.trim().replace(/^type /, '')))) {
      expect(code.split(new RegExp(`\\b${name}\\b`)).length, `${page}:${line}: ${name} is imported and never used`).toBeGreaterThan(2);
    }
  }
});

const others = programs.filter(({ page }) => page !== 'README.md');
it('there are programs in the pages and in the API', () => {
  expect(others.filter(({ page }) => page.endsWith('.md')).length).toBeGreaterThan(9);
  expect(others.filter(({ page }) => page.endsWith('.ts')).length).toBeGreaterThan(11);
});
it.each(others.map((program) => [`${program.page}:${program.line}`, program] as const))('%s runs', async (_, program) => void (await run(program)), 240_000);
