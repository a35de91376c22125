import { convertIndexedToRgb, decode, encode, hasPngSignature, type DecodedPng } from 'fast-png';
import { PictureError } from './picture-error.js';

/** Pixels, row-major RGBA, 0–255: what browsers call ImageData. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Reads a PNG of any colour type as RGBA. `what` names the picture in errors. Throws PictureError when it is no readable PNG. */
export function decodePng(bytes: Uint8Array, what = 'picture'): Picture {
  if (!hasPngSignature(bytes)) throw new PictureError(what, `not a PNG (${bytes.length} bytes without its signature) — convert it to PNG first`);
  let png: DecodedPng;
  let data: DecodedPng['data'];
  try {
    png = decode(bytes);
    data = png.palette ? convertIndexedToRgb(png) : png.data;
  } catch (cause) {
    throw new PictureError(what, `a damaged or cut-off PNG — ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const { width, height } = png;
  const size = width * height;
  const channels = png.palette ? data.length / size : png.channels;
  if (size === 0 || data.length < size * channels) throw new PictureError(what, `a PNG of ${width} × ${height} with ${data.length} values — it is cut off`);
  const scale = data instanceof Uint16Array ? 255 / 65535 : 255 / (2 ** (png.palette ? 8 : Math.min(8, png.depth)) - 1);
  const rgba = new Uint8Array(4 * size);
  for (let i = 0; i < size; i++) {
    const at = (channel: number): number => Math.round(data[i * channels + channel]! * scale);
    const gray = channels < 3;
    rgba[4 * i] = at(0);
    rgba[4 * i + 1] = at(gray ? 0 : 1);
    rgba[4 * i + 2] = at(gray ? 0 : 2);
    rgba[4 * i + 3] = channels === 2 || channels === 4 ? at(channels - 1) : 255;
  }
  return { width, height, data: rgba };
}

/** RGB or RGBA bytes (by their number) → PNG, with text chunks. Characters beyond Latin-1 become \uXXXX, as in JSON. */
export function encodePng(picture: Picture, text: Readonly<Record<string, string>> = {}): Uint8Array {
  const { width, height } = picture;
  const channels = picture.data.length / (width * height);
  const data = picture.data instanceof Uint8Array ? picture.data : new Uint8Array(picture.data);
  return encode({ width, height, channels, depth: 8, data, text: Object.fromEntries(Object.entries(text).map(([key, value]) => [key, latin1(value)])) });
}

/** The text chunks of a PNG, such as the metadata that GeneratedImage.toPng writes. Throws PictureError when it is no readable PNG. */
export function readPngText(bytes: Uint8Array): Readonly<Record<string, string>> {
  decodePng(bytes);
  return decode(bytes).text;
}

const latin1 = (text: string): string => text.replace(/[^\u0000-\u00ff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
