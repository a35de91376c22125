import { defineConfig } from 'tsup';

export default defineConfig({
  entry: {"index": "src/index.ts", "ort-node": "src/ort-node.ts", "ort-web": "src/ort-web.ts", "ort-webgpu": "src/ort-webgpu.ts", "reference": "src/reference.ts", "conformance": "src/conformance.ts", "graph/index": "src/graph/index.ts", "lora": "src/lora.ts", "auto.node": "src/auto.node.ts", "auto.browser": "src/auto.browser.ts"},
  format: ['esm'],
  dts: true,
  clean: true,
  target: 'es2022',
  tsconfig: './tsconfig.build.json',
});
