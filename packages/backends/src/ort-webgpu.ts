/*
 * onnxruntime-web on WebGPU. All sessions of a backend live in one Web Worker and only one call is under way at any time: two overlapping
 * calls in one realm hang (docs/decisions). Tensors come back to the host after each call.
 */
import type { Backend } from '@ediffi/core';
import { webBackend, type OrtWebOptions } from './ort/web.js';

export type { OrtWebOptions } from './ort/web.js';

/**
 * A backend on WebGPU. `load` rejects with BackendError when there is no adapter; a lost device rejects everything open, and everything
 * after, with BackendError.
 */
export const ortWebGpu = (options: OrtWebOptions): Backend => webBackend('ort-webgpu', 'webgpu', options, true);
