// A form, a canvas, and the picture forming on it step by step; a second press or "Stop" ends the work that is under way.
import { ortWeb } from '@ediffi/backends/ort-web';
import { loadEdiffi, rgbaOf, type GeneratedImage, type Picture } from 'ediffi';
import runtime from 'onnxruntime-web/wasm?url';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';

const form = document.querySelector('form')!;
const stop = form.elements.namedItem('stop') as HTMLButtonElement;
const says = document.querySelector('output')!;
const canvas = document.querySelector('canvas')!;
const field = (name: string): string => (form.elements.namedItem(name) as HTMLInputElement).value;

const ediffi = loadEdiffi({ backend: ortWeb({ runtime, wasm }), baseUrl: `${import.meta.env.BASE_URL}model/`, onProgress: ({ path }) => (says.value = `loading ${path}`) });
let running: AbortController | undefined;

function show(picture: Picture | GeneratedImage): void {
  const { width, height, data } = rgbaOf(picture, 'picture');
  Object.assign(canvas, { width, height });
  canvas.getContext('2d')!.putImageData(new ImageData(Uint8ClampedArray.from(data), width, height), 0, 0);
}

async function paint(): Promise<void> {
  running?.abort(new Error('stopped'));
  const { signal } = (running = new AbortController());
  stop.disabled = false;
  canvas.removeAttribute('data-finished');
  try {
    const painting = (await ediffi).stream(field('prompt'), { seed: Number(field('seed')), steps: Number(field('steps')), signal });
    for await (const { index, count, expert, sigma, preview } of painting) {
      says.value = `${index + 1}/${count}: expert ${expert}, σ ${sigma.toFixed(2)}`;
      show(await preview());
    }
    const picture = await painting.finish();
    show(picture);
    says.value = picture.warnings.map(({ message }) => message).join('; ') || 'done';
    canvas.dataset['finished'] = field('prompt');
  } catch (error) {
    if (!signal.aborted || running?.signal === signal) says.value = error instanceof Error ? error.message : String(error);
  }
  if (running?.signal === signal) stop.disabled = true;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void paint();
});
stop.addEventListener('click', () => running?.abort(new Error('stopped')));
