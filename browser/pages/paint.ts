/* Runs in the page: the embedded model, painted by WebAssembly or WebGPU from files that the page's server has. */
import { ortWeb } from '@ediffi/backends/ort-web';
import { ortWebGpu } from '@ediffi/backends/ort-webgpu';
import { remote } from '@ediffi/backends/remote';
import { loadEdiffi, type Cascade, type GenerateOptions } from 'ediffi';

let ediffi: Cascade | undefined;
let files: string[] = [];

/** What tests call. */
export interface PaintPage {
  open(): Promise<void>;
  /** The same on the graphics processor. */
  openGpu(): Promise<void>;
  /** With the networks on a server of the Open Inference Protocol. */
  openRemote(url: string): Promise<void>;
  /** A picture, with the files it had to read (`cached:` before those from the cache). */
  paint(prompt: string, options: GenerateOptions): Promise<{ pixels: number[]; files: string[]; experts: string[] }>;
  /** What a generation rejects with that is stopped after its second step. */
  abort(prompt: string): Promise<string>;
}

const page: PaintPage = {
  async open() {
    const backend = ortWeb({ runtime: 'ort/ort.wasm.bundle.min.mjs', wasm: 'ort/ort-wasm-simd-threaded.wasm' });
    ediffi = await loadEdiffi({ backend, baseUrl: 'model/', onProgress: ({ path, loaded, total, cached }) => void (loaded === total && files.push(cached ? `cached:${path}` : path)) });
  },
  async openGpu() {
    const backend = ortWebGpu({ runtime: 'ort/ort.webgpu.bundle.min.mjs', wasm: 'ort/ort-wasm-simd-threaded.asyncify.wasm' });
    ediffi = await loadEdiffi({ backend, baseUrl: 'model/' });
  },
  async openRemote(url) {
    ediffi = await loadEdiffi({ backend: remote(url), baseUrl: 'model/', onProgress: ({ path }) => void files.push(path) });
  },
  async paint(prompt, options) {
    files = [];
    const painting = ediffi!.stream(prompt, options);
    const experts: string[] = [];
    for await (const { expert } of painting) if (experts.at(-1) !== expert) experts.push(expert);
    const { data } = await painting.finish();
    return { pixels: [...data], files, experts };
  },
  async abort(prompt) {
    const controller = new AbortController();
    try {
      for await (const { index } of ediffi!.stream(prompt, { seed: 1, steps: 8, signal: controller.signal })) if (index === 1) controller.abort(new Error('enough'));
      return 'finished';
    } catch (error) {
      return String(error);
    }
  },
};
Object.assign(globalThis, { page });
