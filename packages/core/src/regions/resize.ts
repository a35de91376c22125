/*
 * Resizing of planes as torch.nn.functional.interpolate does it. Default: bilinear with half-pixel centres, shrinking with the triangle
 * widened to the ratio (antialias=True); enlarging equals align_corners=False.
 */
import { OptionError } from '../errors/errors.js';

/** How values between pixels are made; torch's names. */
export type ResizeMode = 'nearest' | 'nearest-exact' | 'area' | 'bilinear' | 'bicubic';

/** Options of resizePlane: torch's `mode`, `antialias` (default true; bilinear and bicubic) and `align_corners` (then without antialias). */
export interface ResizeOptions {
  readonly mode?: ResizeMode;
  readonly antialias?: boolean;
  readonly alignCorners?: boolean;
}

/** Which inputs make one output. */
interface Taps {
  readonly at: readonly number[];
  readonly weights: readonly number[];
}

const range = (first: number, end: number): number[] => Array.from({ length: end - first }, (_, k) => first + k);
const even = (at: number[]): Taps => ({ at, weights: at.map(() => 1 / at.length) });

/** Keys' cubic: a = −3/4 without antialias, −1/2 with (torch and PIL). */
function cubic(d: number, a: number): number {
  const x = Math.abs(d);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
const triangle = (d: number): number => Math.max(0, 1 - Math.abs(d));

/** The filter, widened to the ratio where that is above 1, over the pixels it covers. */
function filtered(i: number, from: number, ratio: number, mode: ResizeMode): Taps {
  const wide = Math.max(1, ratio);
  const support = (mode === 'bicubic' ? 2 : 1) * wide;
  const center = (i + 0.5) * ratio;
  const at = range(Math.max(0, Math.floor(center - support + 0.5)), Math.min(from, Math.floor(center + support + 0.5)));
  const raw = at.map((k) => (mode === 'bicubic' ? cubic((k + 0.5 - center) / wide, -0.5) : triangle((k + 0.5 - center) / wide)));
  const sum = raw.reduce((a, b) => a + b, 0);
  return { at, weights: raw.map((w) => w / sum) };
}

/** Two (or four) pixels around a place; beyond the edge the edge's pixel stands again. */
function between(place: number, from: number, mode: ResizeMode): Taps {
  const source = mode === 'bicubic' ? place : Math.max(0, place);
  const below = Math.floor(source);
  const inside = (k: number): number => Math.min(from - 1, Math.max(0, k));
  const around = mode === 'bicubic' ? range(below - 1, below + 3) : [below, below + 1];
  return { at: around.map(inside), weights: around.map((k) => (mode === 'bicubic' ? cubic(source - k, -0.75) : triangle(source - k))) };
}

/** The pixel nearest to a place; every step in float32, because torch's are and the rounding decides where a place lies between two pixels. */
function nearestPixel(i: number, ratio: number, mode: ResizeMode): number {
  const f = Math.fround;
  if (mode === 'nearest') return Math.floor(f(i * f(ratio)));
  return Math.floor(f(Math.max(0, f(f((i + 0.5) * f(ratio)) - 0.5)) + 0.5));
}

function tapsOf(from: number, to: number, { mode = 'bilinear', antialias = true, alignCorners = false }: ResizeOptions): Taps[] {
  const ratio = from / to;
  return Array.from({ length: to }, (_, i): Taps => {
    if (mode === 'nearest' || mode === 'nearest-exact') return even([Math.min(from - 1, nearestPixel(i, ratio, mode))]);
    if (mode === 'area') return even(range(Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to))); // one division: i·(from/to) may round past a whole number
    if (alignCorners) return between(to > 1 ? (i * (from - 1)) / (to - 1) : 0, from, mode);
    return antialias ? filtered(i, from, ratio, mode) : between((i + 0.5) * ratio - 0.5, from, mode);
  });
}

/** Resizes one plane `[height, width]` to `[toHeight, toWidth]`. Throws OptionError for an unknown mode. */
export function resizePlane(plane: Float32Array, height: number, width: number, toHeight: number, toWidth: number, options: ResizeOptions = {}): Float32Array {
  const modes: readonly ResizeMode[] = ['nearest', 'nearest-exact', 'area', 'bilinear', 'bicubic'];
  if (options.mode !== undefined && !modes.includes(options.mode)) throw new OptionError('resize mode', options.mode, `one of ${modes.join(', ')}`);
  if (height === toHeight && width === toWidth) return Float32Array.from(plane);
  const columns = tapsOf(width, toWidth, options);
  const rows = tapsOf(height, toHeight, options);
  const middle = new Float64Array(height * toWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++) {
      const { at, weights } = columns[x]!;
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * plane[y * width + at[k]!]!;
      middle[y * toWidth + x] = sum;
    }
  }
  const out = new Float32Array(toHeight * toWidth);
  for (let y = 0; y < toHeight; y++) {
    const { at, weights } = rows[y]!;
    for (let x = 0; x < toWidth; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * middle[at[k]! * toWidth + x]!;
      out[y * toWidth + x] = sum;
    }
  }
  return out;
}

/** Resizes every plane of `[planes, height, width]`. */
export function resizePlanes(data: Float32Array, planes: number, height: number, width: number, toHeight: number, toWidth: number, options: ResizeOptions = {}): Float32Array {
  const out = new Float32Array(planes * toHeight * toWidth);
  for (let p = 0; p < planes; p++) {
    out.set(resizePlane(data.subarray(p * height * width, (p + 1) * height * width), height, width, toHeight, toWidth, options), p * toHeight * toWidth);
  }
  return out;
}
