import { transformSync } from 'esbuild';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { decodePng, readPngText } from 'ediffi';

const root = fileURLToPath(new URL('..', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));
const home = process.cwd();
let folder = '';
beforeAll(() => process.chdir((folder = mkdtempSync(join(tmpdir(), 'ediffi-snippets-')))));
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

/** The first TypeScript block of a document, run as written, in an empty folder; gives what it logs. */
async function runFirst(document: string): Promise<string[]> {
  const code = /```ts\n([^]*?)```/.exec(readFileSync(join(root, document), 'utf8'))![1]!;
  const file = join(here, `.snippet-${document.replace(/\W/g, '-')}.mjs`);
  const logged = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  writeFileSync(file, transformSync(code, { loader: 'ts', format: 'esm', target: 'node20' }).code);
  try {
    await import(/* @vite-ignore */ file);
    return logged.mock.calls.map((line) => line.join(' '));
  } finally {
    rmSync(file);
    logged.mockRestore();
  }
}

describe('snippets run as written', { timeout: 240_000 }, () => {
  afterEach(() => vi.restoreAllMocks());

  it('README.md: ten lines, a painted picture with its text chunks', async () => {
    const logged = await runFirst('README.md');
    const png = new Uint8Array(readFileSync('car.png'));
    expect(decodePng(png).width).toBe(128);
    expect(readPngText(png)).toMatchObject({ prompt: 'a red car on the beach', seed: '7' });
    expect(logged[0]).toMatch(/^1\/27 high σ 40\.00$/);
    const code = /```ts\n([^]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))![1]!;
    expect(code.trim().split('\n').filter(Boolean).length).toBeLessThanOrEqual(10);
    for (const name of [...code.matchAll(/import \{([^}]*)\}/g)].flatMap((match) => match[1]!.split(',').map((part) => part.trim()))) {
      expect(code.split(new RegExp(`\\b${name}\\b`)).length, `${name} is imported and never used`).toBeGreaterThan(2);
    }
  });

  it('packages/ediffi/README.md', async () => {
    expect((await runFirst('packages/ediffi/README.md')).length).toBeGreaterThan(10);
  });

  it('docs/guide/attention.md', async () => {
    await runFirst('docs/guide/attention.md');
    expect(existsSync('car.png')).toBe(true);
  });
});
