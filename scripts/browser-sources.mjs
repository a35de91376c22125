// How sources become a browser's: where `x.browser.ts` lies beside `x.ts`, browsers get it instead.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** An esbuild plugin for builds and tests. */
export const browserSources = {
  name: 'browser-sources',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path, resolveDir }) => {
      if (resolveDir.includes('node_modules')) return undefined;
      const [own, source] = ['.browser.ts', '.ts'].map((ending) => join(resolveDir, path.replace(/\.js$/, ending)));
      return existsSync(own) ? { path: own, sideEffects: false } : existsSync(source) ? { path: source, sideEffects: !resolveDir.includes('packages') } : undefined;
    });
  },
};

/** Our packages by their sources, as a browser's conditions choose them; `sideEffects: false` holds for sources too. */
export const packageSources = {
  name: 'package-sources',
  setup({ onResolve }) {
    onResolve({ filter: /^(@ediffi\/[a-z]+|ediffi)(\/|$)/ }, ({ path }) => ({ path: sourceOf(path), sideEffects: false }));
  },
};

/** esbuild's options for scripts that pages of ours load: one minified module with everything it imports. */
export const forPages = { bundle: true, minify: true, format: 'esm', target: 'es2022', platform: 'browser', logLevel: 'warning', plugins: [packageSources, browserSources] };

function sourceOf(specifier) {
  const [, name, subpath] = /^(?:@ediffi\/)?([a-z]+)(?:\/(.+))?$/.exec(specifier);
  const folder = fileURLToPath(new URL(`../packages/${name}`, import.meta.url));
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const entry = exports[subpath ? `./${subpath}` : '.'];
  const dist = entry.browser?.default ?? entry.default.default ?? entry.default;
  return join(folder, dist.replace('dist', 'src').replace(/\.js$/, '.ts'));
}
