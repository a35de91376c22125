import { finiteNumber, nearest } from '../errors/check.js';
import { OptionError, ShapeError } from '../errors/errors.js';
import { float32 } from '../tensor/host.js';
import type { Region } from './region.js';

/** Pixels, row-major RGBA, 0–255. */
export interface Rgba {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** What a colour (or label) of the canvas stands for. */
export type PaintedPhrase = string | { readonly phrase: string; readonly occurrence?: number; readonly weight?: number };

/** Options of canvasRegions. */
export interface CanvasOptions {
  /** Largest distance (Euclidean, RGB 0–255) at which a pixel still counts as a colour. Default 48: anti-aliased edges are kept. */
  readonly tolerance?: number;
  /** Softens the edges: standard deviation in canvas pixels. Default 0. */
  readonly blur?: number;
}

const describe = (painted: PaintedPhrase): Exclude<PaintedPhrase, string> => (typeof painted === 'string' ? { phrase: painted } : painted);
const keyOf = ({ phrase, occurrence, weight = 1 }: Exclude<PaintedPhrase, string>): string => `${phrase.trim().toLowerCase()}#${occurrence ?? ''}#${weight}`;

function parseColor(text: string): [number, number, number] {
  const hex = /^#?([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(text.trim())?.[1];
  if (!hex) throw new OptionError('canvas colour', text, "a colour such as '#2e7d32'");
  const full = hex.length === 3 ? [...hex].map((c) => c + c).join('') : hex;
  return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16)) as [number, number, number];
}

/** Joins masks of the same phrase and weight (several colours for one phrase): the larger value wins. Of two weights each keeps its region. */
function merged(entries: readonly { painted: Exclude<PaintedPhrase, string>; mask: Float32Array }[], height: number, width: number): Region[] {
  const byPhrase = new Map<string, { painted: Exclude<PaintedPhrase, string>; mask: Float32Array }>();
  for (const { painted, mask } of entries) {
    const known = byPhrase.get(keyOf(painted));
    if (known) known.mask.forEach((v, i) => (known.mask[i] = Math.max(v, mask[i]!)));
    else byPhrase.set(keyOf(painted), { painted, mask });
  }
  return [...byPhrase.values()].map(({ painted, mask }) => ({ ...painted, mask: float32(mask, [height, width]) }));
}

/**
 * A coloured canvas → one region per phrase and weight. Each pixel goes to the nearest colour within `tolerance`; alpha scales its mask.
 * Throws ShapeError for an empty or contradictory canvas, OptionError for a colour that occurs nowhere on it.
 */
export function canvasRegions(canvas: Rgba, colors: Readonly<Record<string, PaintedPhrase>>, options: CanvasOptions = {}): Region[] {
  const { width, height, data } = canvas;
  if (!(width > 0 && height > 0) || data.length !== width * height * 4) {
    throw new ShapeError('canvas', 'width × height × 4 bytes, none of them zero', `${width} × ${height} with ${data.length} bytes`);
  }
  if (typeof colors !== 'object' || colors === null) throw new OptionError('canvas colours', colors, "{ '#2e7d32': 'phrase of the prompt' }");
  const tolerance = finiteNumber('canvas tolerance', options.tolerance ?? 48, 0, 442);
  const palette = Object.entries(colors).map(([color, painted]) => ({ color, rgb: parseColor(color), painted: describe(painted), mask: new Float32Array(width * height), count: 0 }));
  if (!palette.length) throw new OptionError('canvas colours', '{}', 'at least one colour with its phrase');
  const seen = new Map<string, number>();
  for (let i = 0; i < width * height; i++) {
    const [r, g, b, a] = [data[4 * i]!, data[4 * i + 1]!, data[4 * i + 2]!, data[4 * i + 3]!];
    if (a === 0) continue;
    let best: (typeof palette)[number] | undefined;
    let bestDistance = Infinity;
    for (const entry of palette) {
      const distance = Math.hypot(r - entry.rgb[0], g - entry.rgb[1], b - entry.rgb[2]);
      if (distance < bestDistance) [best, bestDistance] = [entry, distance];
    }
    if (best && bestDistance <= tolerance) {
      best.mask[i] = a / 255;
      best.count++;
    } else {
      const hex = `#${[r, g, b].map((v) => v.toString(16).padStart(2, '0')).join('')}`;
      seen.set(hex, (seen.get(hex) ?? 0) + 1);
    }
  }
  const absent = palette.filter((entry) => entry.count === 0);
  if (absent.length) {
    const others = [...seen].sort((a, b) => b[1] - a[1]).slice(0, 4).map(([hex]) => hex);
    throw new OptionError('canvas colours', absent.map((e) => e.color).join(', '), `colours that occur on the canvas within ${tolerance} of it${others.length ? ` (unmatched there: ${others.join(', ')})` : ''}`);
  }
  const blur = finiteNumber('canvas blur', options.blur ?? 0, 0);
  return merged(palette.map(({ painted, mask }) => ({ painted, mask: blur > 0 ? blurred(mask, width, height, blur) : mask })), height, width);
}

/**
 * A label map (one integer per pixel, row-major) → one region per phrase and weight; labels without a phrase stay unpainted.
 * Throws OptionError for a label that occurs nowhere.
 */
export function labelRegions(labels: ArrayLike<number>, width: number, height: number, phrases: Readonly<Record<number, PaintedPhrase>>): Region[] {
  if (!(width > 0 && height > 0) || labels.length !== width * height) throw new ShapeError('label map', `${width} × ${height} labels, not empty`, `${labels.length}`);
  const present = new Set(Array.from(labels));
  const entries = Object.entries(phrases).map(([label, painted]) => {
    if (!present.has(Number(label))) throw new OptionError('label', label, `one of ${nearest(label, [...present].map(String), 8).join(', ')}, which occur in the map`);
    return { painted: describe(painted), mask: Float32Array.from(labels, (v) => (v === Number(label) ? 1 : 0)) };
  });
  return merged(entries, height, width);
}

/** Gaussian blur of one plane, edges repeated. */
function blurred(plane: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const radius = Math.ceil(3 * sigma);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)));
  const sum = kernel.reduce((a, b) => a + b, 0);
  const pass = (source: Float32Array, dx: number, dy: number): Float32Array =>
    source.map((_, i) => {
      const [x, y] = [i % width, Math.floor(i / width)];
      let value = 0;
      for (let k = -radius; k <= radius; k++) {
        const px = Math.min(width - 1, Math.max(0, x + k * dx));
        const py = Math.min(height - 1, Math.max(0, y + k * dy));
        value += (kernel[k + radius]! / sum) * source[py * width + px]!;
      }
      return value;
    });
  return pass(pass(plane, 1, 0), 0, 1);
}
