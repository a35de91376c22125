import { defineConfig } from 'tsup';
import { browserSources } from '../../scripts/browser-sources.mjs';

const common = { format: ['esm' as const], dts: true, target: 'es2022', tsconfig: './tsconfig.build.json' }; // scripts/build.mjs empties dist

export default defineConfig([
  { ...common, entry: { index: 'src/index.ts', 'ort-node': 'src/ort-node.ts', 'ort-web': 'src/ort-web.ts', 'ort-webgpu': 'src/ort-webgpu.ts', reference: 'src/reference.ts', remote: 'src/remote.ts', serve: 'src/serve.ts', conformance: 'src/conformance.ts', 'graph/index': 'src/graph/index.ts', lora: 'src/lora.ts', outline: 'src/outline.ts', 'auto.node': 'src/auto.node.ts', 'auto.browser': 'src/auto.browser.ts' } },
  { ...common, entry: { 'outline.browser': 'src/outline.browser.ts' }, esbuildPlugins: [browserSources] },
]);
