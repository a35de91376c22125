/* Programs in the README and the documentation do what they say: every `ts` block that begins with an import is run. `ts page` is for browsers. */
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = ['README.md', 'packages/ediffi/README.md', ...['start', 'guide'].flatMap((folder) => readdirSync(join(root, 'docs', folder)).filter((name) => name.endsWith('.md')).map((name) => `docs/${folder}/${name}`))];
const programs = pages.flatMap((page) => {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```ts\n(import [\s\S]*?)^```$/gm)].map(({ 1: code, index }) => ({ page, line: text.slice(0, index).split('\n').length, code: code! }));
});
const folder = join(root, 'out', 'snippets');
const home = process.cwd();
const work = mkdtempSync(join(tmpdir(), 'ediffi-snippets-'));
beforeAll(() => {
  mkdirSync(folder, { recursive: true });
  process.chdir(work); // what they write stays out of the repository
});
afterAll(() => {
  process.chdir(home);
  for (const path of [folder, work]) rmSync(path, { recursive: true, force: true });
});

it('there are programs in the pages', () => expect(programs.length).toBeGreaterThan(4));
it.each(programs.map((program) => [`${program.page}:${program.line}`, program] as const))('%s runs', async (_, { page, line, code }) => {
  const path = join(folder, `${page.replace(/\W/g, '-')}-${line}.ts`);
  writeFileSync(path, code);
  await import(`/${relative(root, path)}`);
}, 240_000);
