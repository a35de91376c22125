/* The whole SDK off the page's thread: reading, hashing and changing graphs takes tens of milliseconds, and the page must never wait. */
import { float32 } from '@ediffi/core';
import { ortWeb } from '@ediffi/backends/ort-web';
import { bestOf, loadEdiffi, rgbaOf, type Cascade, type GenerateOptions, type Picture } from 'ediffi';
import type { Answer, Pixels, Request, Wish } from './protocol.js';

const here = (path: string): string => new URL(path, self.location.href).href;
const backend = ortWeb({ runtime: here('ort/ort.wasm.bundle.min.mjs'), wasm: here('ort/ort-wasm-simd-threaded.wasm') });
const post = (answer: Answer): void => self.postMessage(answer);
const pixels = ({ width, height, data }: Picture): Pixels => ({ width, height, data: Uint8ClampedArray.from(data) });

let opened: Promise<Cascade> | undefined;
let stop: AbortController | undefined;

function open(): Promise<Cascade> {
  const files = new Map<string, { loaded: number; total: number }>();
  opened ??= loadEdiffi({
    backend,
    baseUrl: here('model/'),
    onProgress({ path, loaded, total = loaded, cached }) {
      files.set(path, { loaded, total });
      const sum = (key: 'loaded' | 'total'): number => [...files.values()].reduce((all, file) => all + file[key], 0);
      post({ type: 'loading', loaded: sum('loaded'), total: sum('total'), cached });
    },
  });
  opened.catch(() => (opened = undefined));
  return opened;
}

function optionsOf(wish: Wish, signal: AbortSignal): GenerateOptions {
  const { seed, steps, solver, guidance, width, height, placed, paint, style, styleStrength, image, strength, attention } = wish;
  return {
    seed, steps, solver, guidance, width, height, signal,
    ...(placed.length > 0 && { paint: { regions: placed.map(({ phrase, mask }) => ({ phrase, mask: float32(mask, [height, width]) })), strength: paint } }),
    ...(style && { style: { image: style, strength: styleStrength } }),
    ...(image && { image, strength }),
    ...(attention && { attention: { maps: true } }),
  };
}

async function paint(wish: Wish): Promise<void> {
  stop?.abort();
  const control = (stop = new AbortController());
  try {
    const ediffi = await open();
    const options = optionsOf(wish, control.signal);
    const plan = await ediffi.plan(wish.prompt, options);
    post({ type: 'plan', experts: plan.flatMap(({ experts }) => experts) });
    const started = performance.now();
    const { candidates } = wish;
    const painting = candidates === 1 ? ediffi.stream(wish.prompt, options) : bestOf(ediffi, wish.prompt, { ...options, candidates });
    for await (const step of painting) {
      const { index, count, stage, expert, sigma } = step;
      post({ type: 'step', index, count, stage, expert, sigma, seed: 'seed' in step ? step.seed : wish.seed, preview: pixels(await step.preview()) });
    }
    const painted = await painting.finish();
    const picture = 'candidates' in painted ? painted.picture : painted;
    const maps = (picture.attention?.words ?? []).map(({ text, width, height, values }) => ({ word: text, width, height, values }));
    post({ type: 'done', seed: picture.metadata.seed, picture: pixels(rgbaOf(picture.tensor, 'picture')), png: Uint8Array.from(picture.toPng()), warnings: picture.warnings.map(({ message }) => message), maps, device: backend.device.id, seconds: (performance.now() - started) / 1000 });
  } catch (error) {
    if (stop === control || !control.signal.aborted) post({ type: 'failed', message: error instanceof Error ? error.message : String(error), stopped: control.signal.aborted });
  }
}

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if (data.type === 'paint') void paint(data.wish);
  else stop?.abort(new Error('stopped'));
};
