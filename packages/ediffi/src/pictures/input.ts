import { float32, fromNdarray, OptionError, resizePlanes, ShapeError, shapeText, type HostTensor } from '@ediffi/core';
import type { NdArray } from 'ndarray';
import { decodePng, type Picture } from './png.js';

/** Ways to hand over a picture: PNG bytes, RGB(A) pixels (ImageData fits), a tensor `[3, H, W]` in −1…1, or an ndarray `[H, W, 3 or 4]` of 0–255. */
export type PictureInput = Uint8Array | Picture | HostTensor | NdArray;

const isTensor = (input: unknown): input is HostTensor => typeof input === 'object' && input !== null && 'dtype' in input && 'toHost' in input;
const FORMS = 'PNG bytes, { width, height, data }, a tensor [3, H, W] or an ndarray';

const isNdarray = (input: object): input is NdArray => 'stride' in input && 'offset' in input;

/** Any picture as RGBA pixels. Throws OptionError for what is no picture, PictureError for an unreadable PNG, ShapeError for contradictory sizes. */
export function rgbaOf(input: PictureInput, what: string): Picture {
  if (typeof input !== 'object' || input === null) throw new OptionError(what, input, typeof input === 'string' ? 'the picture, not where it is: read the file first and give its bytes' : FORMS);
  if (input instanceof Uint8Array) return decodePng(input, what);
  if (isNdarray(input)) return rgbaOfNdarray(input, what);
  if (isTensor(input)) return pictureOf(chw(input, what));
  const { width, height, data } = input;
  if (typeof data?.length !== 'number') throw new OptionError(what, `{ ${Object.keys(input).join(', ')} }`, FORMS);
  const channels = data.length / (width * height);
  if (!(width > 0 && height > 0) || (channels !== 3 && channels !== 4)) throw new ShapeError(what, 'width × height × 3 or 4 bytes, none of them zero', `${width} × ${height} with ${data.length} bytes`);
  if (channels === 4) return { width, height, data };
  const rgba = new Uint8Array(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return { width, height, data: rgba };
}

/** Any picture as a tensor `[1, 3, H, W]` in −1…1; transparent parts become white. */
export function tensorOf(input: PictureInput, what: string): HostTensor {
  if (isTensor(input)) return chw(input, what);
  const { width, height, data } = rgbaOf(input, what);
  const size = width * height;
  const out = new Float32Array(3 * size);
  for (let i = 0; i < size; i++) {
    const alpha = data[4 * i + 3]! / 255;
    for (let c = 0; c < 3; c++) out[c * size + i] = ((data[4 * i + c]! * alpha + 255 * (1 - alpha)) / 255) * 2 - 1;
  }
  return float32(out, [1, 3, height, width]);
}

/** Red, green and blue bytes, row by row. */
export interface RgbPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Any picture as bytes; transparent parts become white. */
export function rgbPicture(input: PictureInput, what: string): RgbPicture {
  const { width, height, data } = rgbaOf(input, what);
  const at = (i: number): number => {
    const [pixel, alpha] = [Math.floor(i / 3), data[4 * Math.floor(i / 3) + 3]! / 255];
    return Math.round(data[4 * pixel + (i % 3)]! * alpha + 255 * (1 - alpha));
  };
  return { width, height, data: Uint8Array.from({ length: 3 * width * height }, (_, i) => at(i)) };
}

/** A picture that was given as a tensor, as `[1, 3, H, W]`; undefined for the other forms. */
export const floatsOf = (input: PictureInput, what: string): HostTensor | undefined => (isTensor(input) ? chw(input, what) : undefined);

/** A mask `[1, 1, H, W]` in 0…1 from the lightness of a picture (white: 1), or from a tensor `[H, W]`. */
export function maskOf(input: PictureInput, what: string): HostTensor {
  if (isTensor(input) && input.shape.length === 2) {
    if (!input.data.every((v) => v >= 0 && v <= 1)) throw new ShapeError(what, 'values from 0 to 1', 'others');
    if (input.data.length === 0) throw new ShapeError(what, '[H, W] with H, W > 0', shapeText(input.shape));
    return float32(input.data, [1, 1, ...input.shape]);
  }
  const { width, height, data } = rgbaOf(input, what);
  const plane = Float32Array.from({ length: width * height }, (_, i) => ((data[4 * i]! + data[4 * i + 1]! + data[4 * i + 2]!) / 765) * (data[4 * i + 3]! / 255));
  return float32(plane, [1, 1, height, width]);
}

/** `[N, C, H, W]` resized: area-weighted when shrinking, bilinear when enlarging. */
export function resized(tensor: HostTensor, height: number, width: number): HostTensor {
  const [batch = 1, channels = 1, h = 1, w = 1] = tensor.shape;
  if (h === height && w === width) return tensor;
  return float32(resizePlanes(tensor.data, batch * channels, h, w, height, width), [batch, channels, height, width]);
}

/** Picture `index` of `[B, 3, H, W]` as RGBA; −1…1 maps to 0–255, beyond is cut. */
export function pictureOf(tensor: HostTensor, index = 0): Picture {
  const rgb = rgbOf(tensor, index);
  const [, , height = 1, width = 1] = tensor.shape;
  const data = new Uint8Array(4 * height * width).fill(255);
  for (let i = 0; i < height * width; i++) data.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
  return { width, height, data };
}

/** Picture `index` of `[B, 3, H, W]` as RGB bytes, row-major. */
export function rgbOf(tensor: HostTensor, index = 0): Uint8Array {
  const [, , height = 1, width = 1] = tensor.shape;
  const size = height * width;
  const out = new Uint8Array(3 * size);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < size; i++) out[3 * i + c] = Math.round(Math.min(1, Math.max(0, (tensor.data[(3 * index + c) * size + i]! + 1) / 2)) * 255);
  }
  return out;
}

function chw(tensor: HostTensor, what: string): HostTensor {
  const shape = tensor.shape.length === 3 ? [1, ...tensor.shape] : tensor.shape;
  if (tensor.dtype !== 'float32' || shape.length !== 4 || shape[0] !== 1 || shape[1] !== 3 || tensor.data.length === 0) {
    throw new ShapeError(what, 'one float32 picture [3, H, W] in −1…1', `${tensor.dtype} ${shapeText(tensor.shape)}`);
  }
  return float32(tensor.data, shape);
}

function rgbaOfNdarray(array: NdArray, what: string): Picture {
  const [height = 0, width = 0, channels = 0] = array.shape;
  if (array.shape.length !== 3 || (channels !== 3 && channels !== 4) || height * width === 0) throw new ShapeError(what, 'an ndarray [H, W, 3 or 4] of 0–255', shapeText(array.shape));
  return rgbaOf({ width, height, data: Uint8Array.from(fromNdarray(array).data, (v) => Math.min(255, Math.max(0, Math.round(v)))) }, what);
}
