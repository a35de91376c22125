import { defineConfig } from 'tsup';
import { browserSources } from '../../scripts/browser-sources.mjs';

const common = { format: ['esm' as const], dts: true, target: 'es2022', tsconfig: './tsconfig.build.json' }; // scripts/build.mjs empties dist

export default defineConfig([
  { ...common, entry: { index: 'src/index.ts', cli: 'src/cli.ts' } },
  { ...common, entry: { 'index.browser': 'src/index.browser.ts' }, esbuildPlugins: [browserSources] },
]);
