/* Runs in a worker of a page: one program of the documentation, over the embedded model that the playground beside it has. */
import * as core from '@ediffi/core';
import * as testing from '@ediffi/core/testing';
import { ortWeb } from '@ediffi/backends/ort-web';
import * as sampler from '@ediffi/sampler';
import * as ediffi from 'ediffi';

const here = (path: string): string => new URL(`../playground/${path}`, self.location.href).href;
const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value, (_, v) => (typeof v === 'number' && !Number.isInteger(v) ? Number(v.toPrecision(6)) : v)));

/** What Node finds by itself, a page has to be told: where the runtime and the weights are. */
const withFiles = (options: ediffi.LoadEdiffiOptions = {}): ediffi.LoadEdiffiOptions => ({ backend: ortWeb({ runtime: here('ort/ort.wasm.bundle.min.mjs'), wasm: here('ort/ort-wasm-simd-threaded.wasm') }), baseUrl: here('model/'), ...options });

const live = {
  '@ediffi/core': core,
  '@ediffi/core/testing': testing,
  '@ediffi/sampler': sampler,
  ediffi: { ...ediffi, loadEdiffi: (options?: ediffi.LoadEdiffiOptions) => ediffi.loadEdiffi(withFiles(options)), loadBase: (options?: ediffi.LoadEdiffiOptions) => ediffi.loadBase(withFiles(options)) },
  'node:fs/promises': { writeFile: async (file: string, bytes: Uint8Array) => self.postMessage({ file, bytes: Uint8Array.from(bytes) }) },
};
const logger = { ...console, log: (...values: unknown[]) => self.postMessage({ line: values.map(text).join(' ') }) };

self.onmessage = async ({ data }: MessageEvent<string>) => {
  try {
    const AsyncFunction = (async () => undefined).constructor as new (...code: string[]) => (modules: typeof live, console: typeof logger) => Promise<void>;
    await new AsyncFunction('live', 'console', data)(live, logger);
    self.postMessage({ done: true });
  } catch (error) {
    self.postMessage({ failure: String(error) });
  }
};
