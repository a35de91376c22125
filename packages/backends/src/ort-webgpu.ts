/*
 * onnxruntime-web on WebGPU. All sessions of a backend live in one Web Worker and only one call is under way at any time: two overlapping
 * calls in one realm hang (docs/decisions). Pictures and embeddings stay in graphics memory between calls; solvers add there.
 */
import { OptionError, type Backend } from '@ediffi/core';
import { widenConvs } from './graph/wide-convs.js';
import { anchor } from './ort/gpu/anchor.js';
import { GpuDevice } from './ort/gpu/device.js';
import { gpuSource } from './ort/gpu/worker-source.js';
import type { Thread } from './ort/thread.js';
import { webBackend, type OrtWebOptions } from './ort/web.js';

export type { OrtWebOptions } from './ort/web.js';

/** Options of ortWebGpu. */
export interface OrtWebGpuOptions extends OrtWebOptions {
  /** Where answers stay: 'gpu' (default), or 'host' for a copy to JavaScript memory after each call. */
  readonly tensors?: 'gpu' | 'host';
}

/**
 * A backend on WebGPU. `load` rejects with BackendError when there is no adapter; a device that is lost or a worker that
 * dies rejects everything open with BackendError; loading a model again starts anew. Throws OptionError for another place of tensors.
 */
export function ortWebGpu({ tensors = 'gpu', ...options }: OrtWebGpuOptions): Backend {
  if (tensors !== 'gpu' && tensors !== 'host') throw new OptionError('tensors', tensors, "'gpu' or 'host'");
  const keeping = tensors === 'gpu' ? { source: gpuSource, device: (id: string, thread: () => Promise<Thread>) => new GpuDevice(id, thread) } : undefined;
  return webBackend({ name: 'ort-webgpu', provider: 'webgpu', shared: anchor, mended: widenConvs, keeping }, options);
}
