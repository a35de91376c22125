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
  const { png, data, channels, key } = read(bytes, what);
  const { width, height } = png;
  const size = width * height;
  const scale = data instanceof Uint16Array ? 255 / 65535 : 255 / (2 ** (png.palette ? 8 : Math.min(8, png.depth)) - 1);
  const rgba = new Uint8Array(4 * size);
  for (let i = 0; i < size; i++) {
    const at = (channel: number): number => Math.round(data[i * channels + channel]! * scale);
    const gray = channels < 3;
    const clear = key?.every((value, channel) => data[i * channels + channel] === value) ?? false;
    rgba[4 * i] = at(0);
    rgba[4 * i + 1] = at(gray ? 0 : 1);
    rgba[4 * i + 2] = at(gray ? 0 : 2);
    rgba[4 * i + 3] = channels === 2 || channels === 4 ? at(channels - 1) : clear ? 0 : 255;
  }
  return { width, height, data: rgba };
}

/** A PNG as it was written: `channels` numbers per pixel, a palette looked up; `key` is the colour that stands for transparent. */
interface Read {
  readonly png: DecodedPng;
  readonly data: DecodedPng['data'];
  readonly channels: number;
  readonly key?: readonly number[];
}

function read(bytes: Uint8Array, what: string): Read {
  if (!hasPngSignature(bytes)) throw new PictureError(what, `not a PNG (${bytes.length} bytes without its signature) — convert it to PNG first`);
  const [depth = 8, interlaced] = [bytes[24], bytes[28]];
  if (depth < 8 && interlaced === 1) throw new PictureError(what, `an interlaced PNG of ${depth} bits per value — save it with 8, or without interlacing`);
  const { key, rest } = withoutKey(bytes);
  let png: DecodedPng;
  let data: DecodedPng['data'];
  try {
    png = decode(rest);
    data = png.palette ? convertIndexedToRgb(png) : png.depth < 8 ? unpacked(png) : png.data;
  } catch (cause) {
    throw new PictureError(what, `a damaged or cut-off PNG — ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const size = png.width * png.height;
  const channels = png.palette ? data.length / size : png.channels;
  if (size === 0 || data.length < size * channels) throw new PictureError(what, `a PNG of ${png.width} × ${png.height} with ${data.length} values — it is cut off`);
  return { png, data, channels, ...(key && { key: key.map((value) => value % 2 ** png.depth) }) };
}

/** Grey values of fewer than 8 bits, each row of which begins with a byte of its own. */
function unpacked({ width, height, depth, data }: DecodedPng): Uint8Array {
  const stride = Math.ceil((width * depth) / 8);
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const bit = (i % width) * depth;
    return (data[Math.floor(i / width) * stride + (bit >> 3)]! >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
  });
}

/** The transparent colour of a grey or RGB PNG (its tRNS chunk), and the PNG without it: fast-png takes it for one value per pixel and refuses it in small pictures. */
function withoutKey(bytes: Uint8Array): { readonly rest: Uint8Array; readonly key?: readonly number[] } {
  const type = bytes[25];
  const size = type === 0 ? 2 : type === 2 ? 6 : undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; size !== undefined && at + 12 + size <= bytes.length; at += 12 + view.getUint32(at)) {
    if (view.getUint32(at) !== size || String.fromCharCode(...bytes.subarray(at + 4, at + 8)) !== 'tRNS') continue;
    const rest = new Uint8Array(bytes.length - 12 - size);
    rest.set(bytes.subarray(0, at));
    rest.set(bytes.subarray(at + 12 + size), at);
    return { rest, key: Array.from({ length: size / 2 }, (_, i) => view.getUint16(at + 8 + 2 * i)) };
  }
  return { rest: bytes };
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
  return read(bytes, 'picture').png.text;
}

const latin1 = (text: string): string => text.replace(/[^\u0000-\u00ff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
