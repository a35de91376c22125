/* The page's elements, and pictures in and out of it. */
import type { Pixels } from './protocol.js';

/** The element with an id, which the page has. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** A new element with properties and children. */
export function create<K extends keyof HTMLElementTagNameMap>(tag: K, properties: Partial<HTMLElementTagNameMap[K]> = {}, ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Shows pixels on a canvas of their size. */
export function show(canvas: HTMLCanvasElement, { width, height, data }: Pixels): void {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.getContext('2d')!.putImageData(new ImageData(data, width, height), 0, 0);
}

/** A picture file as pixels, at most 512 long, or stretched to a size. Rejects with an error that names the file when the browser cannot read it. */
export async function pixelsOf(file: File, size?: { readonly width: number; readonly height: number }): Promise<Pixels> {
  const bitmap = await createImageBitmap(file).catch((cause: unknown) => {
    throw new Error(`${file.name} is no picture that this browser reads.`, { cause });
  });
  const shrink = Math.min(1, 512 / Math.max(bitmap.width, bitmap.height));
  const { width, height } = size ?? { width: Math.max(1, Math.round(bitmap.width * shrink)), height: Math.max(1, Math.round(bitmap.height * shrink)) };
  const context = create('canvas', { width, height }).getContext('2d')!;
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, data: new Uint8ClampedArray(data) };
}
