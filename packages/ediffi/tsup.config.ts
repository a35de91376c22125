import { defineConfig } from 'tsup';

export default defineConfig({
  entry: {"index": "src/index.ts", "index.browser": "src/index.browser.ts", "cli": "src/cli.ts"},
  format: ['esm'],
  dts: true,
  clean: true,
  target: 'es2022',
  tsconfig: './tsconfig.build.json',
});
