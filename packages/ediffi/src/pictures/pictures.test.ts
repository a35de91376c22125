import { float32, OptionError, ShapeError, view } from '@ediffi/core';
import { encode } from 'fast-png';
import ndarray from 'ndarray';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Metadata } from '../metadata.js';
import { GeneratedImage } from './generated-image.js';
import { maskOf, pictureOf, resized, rgbaOf, tensorOf } from './input.js';
import { PictureError } from './picture-error.js';
import { decodePng, encodePng, readPngText } from './png.js';

/** A PNG by its chunks, for what fast-png cannot write. */
function chunks(width: number, height: number, depth: number, type: number, rows: readonly number[][], more: readonly [string, readonly number[]][] = [], interlaced = 0): Uint8Array {
  const four = (n: number): number[] => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255];
  const chunk = (name: string, data: readonly number[]): number[] => [...four(data.length), ...Buffer.from(name), ...data, 0, 0, 0, 0];
  const header = chunk('IHDR', [...four(width), ...four(height), depth, type, 0, 0, interlaced]);
  const data = chunk('IDAT', [...deflateSync(Uint8Array.from(rows.flatMap((row) => [0, ...row])))]);
  return Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10, ...header, ...more.flatMap(([name, bytes]) => chunk(name, bytes)), ...data, ...chunk('IEND', [])]);
}

const rgba = { width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 255, 0, 0, 255, 0) };

describe('png', () => {
  it('reads every colour type as RGBA', () => {
    const one = (channels: number, data: Uint8Array | Uint16Array, depth: 8 | 16 = 8): number[] => [...decodePng(encode({ width: 1, height: 1, channels, depth, data })).data];
    expect(one(1, Uint8Array.of(7))).toEqual([7, 7, 7, 255]);
    expect(one(2, Uint8Array.of(7, 9))).toEqual([7, 7, 7, 9]);
    expect(one(3, Uint8Array.of(1, 2, 3))).toEqual([1, 2, 3, 255]);
    expect(one(4, Uint8Array.of(1, 2, 3, 4))).toEqual([1, 2, 3, 4]);
    expect(one(3, Uint16Array.of(65535, 0, 257), 16)).toEqual([255, 0, 1, 255]);
  });

  it('reads grey of 1, 2 and 4 bits, each row of which begins with a byte of its own', () => {
    const greys = (png: Uint8Array): number[] => [...decodePng(png).data].filter((_, i) => i % 4 === 0);
    expect(greys(chunks(4, 2, 1, 0, [[0b10100000], [0b01010000]]))).toEqual([255, 0, 255, 0, 0, 255, 0, 255]);
    expect(greys(chunks(10, 1, 1, 0, [[0b11111111, 0b01000000]]))).toEqual([...new Array<number>(8).fill(255), 0, 255]);
    expect(greys(chunks(4, 1, 2, 0, [[0b00011011]]))).toEqual([0, 85, 170, 255]);
    expect(greys(chunks(3, 2, 4, 0, [[0x0f, 0x80], [0x10, 0xf0]]))).toEqual([0, 255, 136, 17, 0, 255]);
    expect(() => decodePng(chunks(4, 2, 1, 0, [[0b10100000], [0b01010000]], [], 1))).toThrow(/an interlaced PNG of 1 bits per value — save it with 8/);
  });

  it('makes the colour transparent that a grey or RGB PNG names so, in tiny pictures too', () => {
    const read = (...png: Parameters<typeof chunks>): number[] => [...decodePng(chunks(...png)).data];
    expect(read(2, 1, 8, 0, [[0, 255]], [['tRNS', [0, 0]]])).toEqual([0, 0, 0, 0, 255, 255, 255, 255]);
    expect(read(3, 1, 2, 0, [[0b00011000]], [['tRNS', [0, 1]]]).filter((_, i) => i % 4 === 3)).toEqual([255, 0, 255]);
    expect(read(2, 1, 8, 2, [[255, 0, 0, 255, 0, 1]], [['tRNS', [0, 255, 0, 0, 0, 0]]])).toEqual([255, 0, 0, 0, 255, 0, 1, 255]);
    expect(read(1, 1, 16, 2, [[1, 2, 3, 4, 5, 6]], [['tRNS', [1, 2, 3, 4, 5, 6]]])[3]).toBe(0);
    expect(read(1, 1, 16, 2, [[1, 2, 3, 4, 5, 7]], [['tRNS', [1, 2, 3, 4, 5, 6]]])[3]).toBe(255);
    expect(read(2, 1, 8, 3, [[0, 1]], [['PLTE', [255, 0, 0, 0, 0, 255]], ['tRNS', [0]]])).toEqual([255, 0, 0, 0, 0, 0, 255, 255]);
    expect(readPngText(chunks(1, 1, 8, 2, [[1, 2, 3]], [['tRNS', [0, 1, 0, 2, 0, 3]], ['tEXt', [...Buffer.from('seed\u00007')]]]))).toEqual({ seed: '7' });
  });

  it('keeps text, whatever its script', () => {
    const text = readPngText(encodePng(rgba, { prompt: 'Ünï 猫', seed: '7' }));
    expect(text).toEqual({ prompt: 'Ünï \\u732b', seed: '7' });
  });

  it('refuses what is no PNG, and what is cut off anywhere', () => {
    const png = encodePng({ width: 32, height: 32, data: Uint8Array.from({ length: 4096 }, (_, i) => (i * 97) % 251) });
    expect(() => decodePng(new Uint8Array(0), 'style')).toThrow(/style: not a PNG/);
    for (const length of [9, 20, 40, png.length >> 1, png.length - 20]) expect(() => decodePng(png.slice(0, length)), `${length} bytes`).toThrow(PictureError);
    expect(PictureError.isInstance(new PictureError('x', 'y'))).toBe(true);
  });
});

describe('pictures in any form', () => {
  it('become the same tensor', () => {
    const wanted = [...tensorOf(rgba, 'x').data];
    expect(wanted).toEqual([1, 1, -1, 1, -1, 1]); // the transparent pixel is white
    expect([...tensorOf(encodePng(rgba), 'x').data]).toEqual(wanted);
    expect([...tensorOf(ndarray(rgba.data, [1, 2, 4]), 'x').data]).toEqual(wanted);
    expect([...tensorOf(float32(wanted, [3, 1, 2]), 'x').data]).toEqual(wanted);
    expect([...tensorOf({ width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 255, 255, 255) }, 'x').data]).toEqual(wanted);
    expect([...tensorOf(ndarray(new Uint8Array(24).fill(255), [2, 1, 4], [-8, 4, 1], 8), 'x').data]).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('round-trip through pixels', () => {
    const data = Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3));
    expect([...pictureOf(tensorOf({ width: 16, height: 16, data }, 'x')).data.filter((_, i) => i % 4 === 0)]).toEqual([...data.filter((_, i) => i % 3 === 0)]);
  });

  it('are refused when they contradict themselves', () => {
    expect(() => rgbaOf({ width: 2, height: 2, data: new Uint8Array(5) }, 'canvas')).toThrow(/canvas: expected width × height × 3 or 4 bytes/);
    expect(() => rgbaOf({ width: 0, height: 2, data: new Uint8Array(0) }, 'canvas')).toThrow(ShapeError);
    expect(() => tensorOf(float32([1, 2], [1, 1, 1, 2]), 'image')).toThrow(/one float32 picture \[3, H, W\]/);
    expect(() => rgbaOf(ndarray(new Uint8Array(4), [2, 2]), 'image')).toThrow(ShapeError);
  });

  it('are refused when they are none: a path wants to be read first', () => {
    for (const read of [rgbaOf, tensorOf, maskOf]) {
      expect(() => read('cat.png' as never, 'image')).toThrow(/image: expected the picture, not where it is: read the file first .*, got "cat.png"/);
      for (const other of [null, undefined, 7, {}, { width: 2, height: 2 }, new ArrayBuffer(8)]) expect(() => read(other as never, 'image'), String(other)).toThrow(OptionError);
    }
  });

  it('give masks by lightness, or from a plane', () => {
    expect([...maskOf({ width: 2, height: 1, data: Uint8Array.of(255, 255, 255, 0, 0, 0) }, 'mask').data]).toEqual([1, 0]);
    expect([...maskOf(float32([0, 1], [2, 1]), 'mask').data]).toEqual([0, 1]);
    expect(() => maskOf(float32([2], [1, 1]), 'mask')).toThrow(ShapeError);
    expect(resized(float32([0, 1], [1, 1, 1, 2]), 2, 4).shape).toEqual([1, 1, 2, 4]);
  });
});

describe('GeneratedImage', () => {
  const metadata: Metadata = { prompt: 'a cat', seed: 7, encoders: ['t5'], plan: 'base: high 1', stages: [], versions: { ediffi: '0.1.0' } };
  const image = new GeneratedImage(float32([-1, 1, 2, 0, -3, 0.5], [3, 1, 2]), metadata, []);

  it('has pixels, an ndarray over them, and the unrounded tensor', () => {
    expect([...image.data]).toEqual([0, 255, 0, 255, 128, 191]);
    expect(image.ndarray().get(0, 1, 2)).toBe(191);
    expect(image.ndarray().data).toBe(image.data);
    expect(view(image.tensor).get(0, 0, 1)).toBe(1);
  });

  it('says in its PNG how it was made', () => {
    const text = readPngText(image.toPng());
    expect(text).toMatchObject({ Software: 'ediffi 0.1.0', prompt: 'a cat', seed: '7', plan: 'base: high 1' });
    expect(JSON.parse(text['parameters']!)).toEqual(metadata);
    expect([...decodePng(image.toPng()).data.filter((_, i) => i % 4 !== 3)]).toEqual([...image.data]);
  });
});
