import { CapabilityError } from '@ediffi/core';
import type { Answer, Port, PortEvents } from './port.js';
import { actionsSource } from './worker-source.js';

/** The first request is 'open', which names the runtime. A WebGPU device that is lost is told without being asked. `more`: further actions. */
const workerSource = (more: string): string => `
let ort, gpu;
const post = (answer, transfer) => self.postMessage(answer, transfer);
const created = async () => {
  if (gpu || !ort.env.webgpu) return;
  gpu = (await ort.env.webgpu.device) ?? undefined;
  gpu?.lost.then(({ reason, message }) => post({ lost: 'the WebGPU device was lost (' + (message || reason) + ') — load the model again' }, []));
};
${actionsSource}${more}
actions.open = async ({ runtime, wasm, threads }) => {
  ort = await import(runtime);
  ort.env.logLevel = 'error';
  ort.env.wasm.numThreads = threads;
  if (wasm !== undefined) ort.env.wasm.wasmPaths = { wasm };
  return [true, []];
};
self.onmessage = (event) => act(event.data);
`;

/* The little of the browser that is used here, so that this package needs no DOM types. */
interface WebWorker {
  postMessage(message: unknown, transfer: readonly ArrayBuffer[]): void;
  terminate(): void;
  onmessage: ((event: { readonly data: Answer }) => void) | null;
  onerror: ((event: { readonly message?: string; preventDefault(): void }) => void) | null;
}

interface Browser {
  readonly Worker?: new (url: string, options?: { readonly name?: string }) => WebWorker;
  readonly Blob: new (parts: readonly string[], options: { readonly type: string }) => object;
  readonly URL: { createObjectURL(blob: object): string; revokeObjectURL(url: string): void };
}

/** A Web Worker; `more` is source text of what it can do besides running graphs. Throws CapabilityError where there are none. */
export function webPort(name: string, { answer, gone }: PortEvents, more = ''): Port {
  const { Worker, Blob, URL } = globalThis as unknown as Browser;
  if (!Worker) throw new CapabilityError('web workers', 'there are no Web Workers here — in Node use @ediffi/backends/ort-node', { code: 'WORKER' });
  const url = URL.createObjectURL(new Blob([workerSource(more)], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: `ediffi ${name}` });
  worker.onmessage = ({ data }) => {
    URL.revokeObjectURL(url); // it answers, so it has been read
    answer(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    gone(`the web worker died${event.message ? `: ${event.message}` : ' (a Content-Security-Policy must allow worker-src blob:)'}`);
  };
  return { post: (message, transfer) => worker.postMessage(message, transfer), busy: () => undefined, end: () => worker.terminate() };
}
