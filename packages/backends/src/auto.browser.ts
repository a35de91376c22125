import { CapabilityError, OptionError, type Backend } from '@ediffi/core';
import type { AutoOptions } from './auto.node.js';

export type { AutoOptions } from './auto.node.js';

const DEVICES = ['auto', 'cpu', 'webgpu', 'cuda', 'reference'];

interface Gpu {
  requestAdapter(): Promise<{ readonly isFallbackAdapter?: boolean; readonly info?: { readonly isFallbackAdapter?: boolean } } | null>;
}

/** Whether this page has a graphics processor that WebGPU may use; a software adapter is slower than WebAssembly and does not count. */
async function hasGpu(): Promise<boolean> {
  const { gpu } = (globalThis as { navigator?: { readonly gpu?: Gpu } }).navigator ?? {};
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter!.isFallbackAdapter && !adapter!.info?.isFallbackAdapter;
}

/**
 * The backend for browsers, of those whose `files` are given. 'auto': WebGPU where there is a graphics processor, else WebAssembly.
 * Rejects with OptionError when no files are given, CapabilityError for devices that are not here.
 */
export async function createBackend({ device = 'auto', threads, files = {} }: AutoOptions = {}): Promise<Backend> {
  if (!DEVICES.includes(device)) throw new OptionError('device', device, `one of ${DEVICES.join(', ')}`);
  if (device === 'reference') return (await import('./reference.js')).reference();
  if (device === 'cuda') throw new CapabilityError('device', "device 'cuda' is not in browsers — use 'auto', 'cpu' or 'webgpu'", { code: 'DEVICE', device });
  const own = threads === undefined ? {} : { threads };
  if (device === 'webgpu' && !files.webgpu) throw new OptionError('files.webgpu', files.webgpu, WANTED);
  if (files.webgpu && device !== 'cpu' && (await hasGpu())) return (await import('./ort-webgpu.js')).ortWebGpu({ ...own, ...files.webgpu });
  if (device === 'webgpu') throw new CapabilityError('device', 'this page has no graphics processor for WebGPU — use the device auto or cpu', { code: 'DEVICE', device });
  if (!files.wasm) throw new OptionError('files.wasm', files.wasm, WANTED);
  return (await import('./ort-web.js')).ortWeb({ ...own, ...files.wasm });
}

const WANTED = "{ runtime, wasm }, the URLs of onnxruntime-web's files on your server (packages/backends/README.md has the two lines for each bundler)";
