// The whole SDK off the page's thread. Requests come in as messages, steps and pictures go out; buffers are moved, not copied.
import { ortWeb } from '@ediffi/backends/ort-web';
import { loadEdiffi, rgbaOf, type Picture } from 'ediffi';

/** What the page asks for. */
export interface Wish {
  readonly id: number;
  readonly prompt: string;
  readonly seed: number;
  readonly steps: number;
}

/** What it hears: each step with its preview, then the picture, or why there is none. */
export type News = { readonly id: number } & ({ readonly step: number; readonly count: number; readonly pixels: ImageData } | { readonly picture: ImageData } | { readonly failure: string });

const here = (path: string): string => new URL(path, self.location.href).href;
const ediffi = loadEdiffi({ backend: ortWeb({ runtime: here('ort/ort.wasm.bundle.min.mjs'), wasm: here('ort/ort-wasm-simd-threaded.wasm') }), baseUrl: here('model/') });

const pixelsOf = (picture: Picture): ImageData => {
  const { width, height, data } = rgbaOf(picture, 'picture');
  return new ImageData(Uint8ClampedArray.from(data), width, height);
};
const tell = (news: News, pixels?: ImageData): void => self.postMessage(news, { transfer: pixels ? [pixels.data.buffer] : [] });

self.onmessage = async ({ data: { id, prompt, seed, steps } }: MessageEvent<Wish>) => {
  try {
    const painting = (await ediffi).stream(prompt, { seed, steps });
    for await (const { index, count, preview } of painting) {
      const pixels = pixelsOf(await preview());
      tell({ id, step: index, count, pixels }, pixels);
    }
    const picture = pixelsOf(await painting.finish());
    tell({ id, picture }, picture);
  } catch (error) {
    tell({ id, failure: error instanceof Error ? error.message : String(error) });
  }
};
