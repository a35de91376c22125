import { CapabilityError, OptionError, type Backend } from '@ediffi/core';
import type { OrtWebOptions } from './ort/web.js';

/** Options of createBackend. */
export interface AutoOptions {
  /** 'auto': the fastest that is at hand. 'reference': pure TypeScript, for tests, a hundred times slower. */
  readonly device?: 'auto' | 'cpu' | 'webgpu' | 'cuda' | 'reference';
  /** Threads inside one operator. */
  readonly threads?: number;
  /** Browsers only: where the page serves ONNX Runtime from, for each of its builds that may be used. */
  readonly files?: { readonly wasm?: OrtWebOptions; readonly webgpu?: OrtWebOptions };
}

const DEVICES = ['auto', 'cpu', 'webgpu', 'cuda', 'reference'];

/** The backend for Node: onnxruntime-node on the CPU. Rejects with BackendError when it is not installed, CapabilityError for other devices. */
export async function createBackend({ device = 'auto', threads }: AutoOptions = {}): Promise<Backend> {
  if (!DEVICES.includes(device)) throw new OptionError('device', device, `one of ${DEVICES.join(', ')}`);
  if (device === 'reference') return (await import('./reference.js')).reference();
  if (device === 'webgpu' || device === 'cuda') throw new CapabilityError('device', `device '${device}' is not supported in Node yet — use 'auto' or 'cpu'`, { code: 'DEVICE', device });
  return (await import('./ort-node.js')).ortNode(threads === undefined ? {} : { threads });
}
