// How sources become a browser's: where `x.browser.ts` lies beside `x.ts`, browsers get it instead.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

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
