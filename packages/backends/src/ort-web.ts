/*
 * onnxruntime-web on WebAssembly, one Web Worker per session: the page never blocks, an expert loads while another runs, abort answers at
 * once. The runtime's files come from URLs that the page gives; the library imports nothing by itself, so every bundler can take it.
 */
import type { Backend } from '@ediffi/core';
import { webBackend, type OrtWebOptions } from './ort/web.js';

export type { OrtWebOptions } from './ort/web.js';

/**
 * A backend on WebAssembly. Throws OptionError for URLs that are none, CapabilityError (from `load`) where there are no workers. `load`
 * rejects with BackendError when the runtime cannot be fetched, ModelError for damaged files.
 */
export const ortWeb = (options: OrtWebOptions): Backend => webBackend({ name: 'ort-web', provider: 'wasm' }, options);
