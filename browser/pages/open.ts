/* Runs in the page: a hub model from a folder of this page's server, from a hub, and from bytes, on WebAssembly. */
import { ortWeb } from '@ediffi/backends/ort-web';
import { Pipeline, type FilesSource, type GenerateOptions, type OpenOptions } from 'ediffi';

const backend = ortWeb({ runtime: 'ort/ort.wasm.bundle.min.mjs', wasm: 'ort/ort-wasm-simd-threaded.wasm' });

/** What tests call. */
export interface OpenPage {
  /** Opens, paints one picture with a region and its attention, and closes again; a list of paths stands for their bytes. Rejected: the error's text. */
  paint(source: string | readonly string[], prompt: string, options: GenerateOptions, open?: OpenOptions): Promise<{ pixels: number[]; words: string[]; experts: string[] } | string>;
}

async function bytesOf(paths: readonly string[]): Promise<FilesSource> {
  const read = async (path: string) => [path, new Uint8Array(await (await fetch(`files/${path}`)).arrayBuffer())] as const;
  return Object.fromEntries(await Promise.all(paths.map(read)));
}

const page: OpenPage = {
  async paint(source, prompt, options, open = {}) {
    try {
      const pipeline = await Pipeline.open(typeof source === 'string' ? source : await bytesOf(source), { ...open, backend });
      const painting = pipeline.stream(prompt, options);
      const experts: string[] = [];
      for await (const { expert } of painting) if (experts.at(-1) !== expert) experts.push(expert);
      const picture = await painting.finish();
      await pipeline.dispose();
      return { pixels: [...picture.data], words: (picture.attention?.words ?? []).map(({ text }) => text), experts };
    } catch (error) {
      return String(error);
    }
  },
};
Object.assign(globalThis, { page });
