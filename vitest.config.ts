import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string): string => fileURLToPath(new URL(`packages/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@ediffi\/core\/testing$/, replacement: source('core/src/testing/index.ts') },
      { find: /^@ediffi\/backends\/graph$/, replacement: source('backends/src/graph/index.ts') },
      { find: /^@ediffi\/backends\/auto$/, replacement: source('backends/src/auto.node.ts') },
      { find: /^@ediffi\/backends\/(.+)$/, replacement: source('backends/src/$1.ts') },
      { find: /^@ediffi\/([a-z]+)$/, replacement: source('$1/src/index.ts') },
      { find: /^ediffi$/, replacement: source('ediffi/src/index.ts') },
    ],
  },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'examples/**/*.test.ts', 'scripts/**/*.test.ts', 'browser/**/*.test.ts'],
    setupFiles: ['scripts/vitest.setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000, // models load in hooks, on machines that may be busy
    maxWorkers: 2,
  },
});
