import { finiteNumber, float32, resizePlane, type HostTensor } from '@ediffi/core';
import { rgbaOf, type PictureInput } from '../pictures/input.js';
import { encodePng, type Picture } from '../pictures/png.js';
import type { Word } from './words.js';

/** How a heat map becomes a mask. */
export interface MaskOptions {
  /** Share of the way from the map's smallest value to its largest, 0 to 1. Default 0.5, or 0 with `soft`. */
  readonly threshold?: number;
  /** Values between 0 and 1, rising from the threshold on, instead of only 0 and 1. */
  readonly soft?: boolean;
}

/** How a heat map is shown. */
export interface HeatMapPngOptions {
  /** What lies under it. Default: the finished picture, where the map knows it; else nothing. */
  readonly picture?: PictureInput;
  /** How much of the picture the hottest place hides, 0 to 1. Default 0.75. */
  readonly opacity?: number;
}

/** Where the picture looked at a word: attention of each place, summed over the word's tokens, mean over heads, layers and network calls. */
export class HeatMap implements Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Rows and columns of `values`: those of the finest layer that was looked at. */
  readonly height: number;
  readonly width: number;
  /** Row-major; the share of a place's attention that goes to the word, 0 to 1. */
  readonly values: Float32Array;
  readonly picture: Picture | undefined;

  constructor(word: Word, values: Float32Array, height: number, width: number, picture?: Picture) {
    this.text = word.text;
    this.start = word.start;
    this.end = word.end;
    this.values = values;
    this.height = height;
    this.width = width;
    this.picture = picture;
  }

  /** Mean of the values: the word's share of all attention. */
  get share(): number {
    return this.values.reduce((sum, v) => sum + v, 0) / this.values.length;
  }

  /** The same map over another picture. */
  over(picture: Picture): HeatMap {
    return new HeatMap(this, this.values, this.height, this.width, picture);
  }

  /** A mask `[H, W]` of 0…1 for a Region, relative to this map's own range. A map without any contrast is 0 everywhere. Throws OptionError for a threshold outside 0…1. */
  toMask(options: MaskOptions = {}): HostTensor {
    const threshold = finiteNumber('mask threshold', options.threshold ?? (options.soft ? 0 : 0.5), 0, 1);
    const relative = this.#relative();
    const mask = options.soft ? relative.map((v) => Math.max(0, v - threshold) / (1 - threshold || 1)) : relative.map((v) => Number(v > 0 && v >= threshold));
    return float32(mask, [this.height, this.width]);
  }

  /** PNG of the map in colours from dark to bright, laid over the picture; as large as the picture, or as the map when there is none. Throws what reading `picture` throws. */
  toPng(options: HeatMapPngOptions = {}): Uint8Array {
    const opacity = finiteNumber('heat map opacity', options.opacity ?? 0.75, 0, 1);
    const under = options.picture === undefined ? this.picture : options.picture;
    const { width, height, data } = under === undefined ? { width: this.width, height: this.height, data: undefined } : rgbaOf(under, 'picture under the heat map');
    const heat = resizePlane(this.#relative(), this.height, this.width, height, width);
    const out = new Uint8Array(3 * width * height);
    heat.forEach((v, i) => {
      const color = glow(v);
      const cover = data ? opacity * (0.4 + 0.6 * v) : 1;
      for (let c = 0; c < 3; c++) out[3 * i + c] = Math.round(cover * color[c]! + (1 - cover) * (data?.[4 * i + c] ?? 0));
    });
    return encodePng({ width, height, data: out }, { word: this.text });
  }

  /** Values stretched to 0…1. */
  #relative(): Float32Array {
    const [low, high] = this.values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    return this.values.map((v) => (high > low ? (v - low) / (high - low) : 0));
  }
}

const STOPS = [[8, 8, 32], [96, 16, 104], [208, 56, 72], [248, 152, 40], [255, 248, 176]] as const;

/** 0 (dark blue) … 1 (pale yellow), rising in lightness all the way. */
function glow(value: number): [number, number, number] {
  const at = Math.min(1, Math.max(0, value)) * (STOPS.length - 1);
  const [low, high] = [STOPS[Math.floor(at)]!, STOPS[Math.ceil(at)]!];
  return [0, 1, 2].map((c) => low[c]! + (at % 1) * (high[c]! - low[c]!)) as [number, number, number];
}
