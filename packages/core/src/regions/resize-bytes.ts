/*
 * Resizing of 8-bit pictures exactly as Pillow does it (libImaging/Resample.c): rows first, then columns, each pass with coefficients of 22 bits, rounded and cut to
 * 0…255. What diffusers and transformers do to pictures before networks read them.
 */
import { OptionError } from '../errors/errors.js';

/** Pillow's filters; 'bicubic' is Keys' with a = −1/2, 'lanczos' has three lobes. */
export type BytesFilter = 'bilinear' | 'bicubic' | 'lanczos';

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const filters: Readonly<Record<BytesFilter, { readonly support: number; readonly at: (x: number) => number }>> = {
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    at: (d) => {
      const x = Math.abs(d);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

interface Taps {
  readonly first: number;
  /** Times 2²². */
  readonly weights: Int32Array;
}

function tapsOf(from: number, to: number, { support, at }: (typeof filters)[BytesFilter]): Taps[] {
  const scale = from / to;
  const wide = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support * wide + 0.5));
    const end = Math.min(from, Math.trunc(center + support * wide + 0.5));
    const raw = Array.from({ length: end - first }, (_, k) => at((k + first - center + 0.5) / wide));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, weights: Int32Array.from(raw, (w) => Math.trunc((w / (sum || 1)) * 2 ** 22 + (w < 0 ? -0.5 : 0.5))) };
  });
}

/** One pass over `count` lines of `from` values, `step` apart; lines start `line` apart. */
function pass(data: Uint8Array, out: Uint8Array, taps: readonly Taps[], lines: readonly { readonly read: number; readonly write: number }[], readStep: number, writeStep: number): void {
  for (const { read, write } of lines) {
    taps.forEach(({ first, weights }, i) => {
      let sum = 2 ** 21;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * data[read + (first + k) * readStep]!;
      out[write + i * writeStep] = Math.min(255, Math.max(0, sum >> 22));
    });
  }
}

/** Resizes interleaved bytes `[height, width, channels]` to `[toHeight, toWidth, channels]`, as `PIL.Image.resize` does. Throws OptionError for an unknown filter. */
export function resizeBytes(data: Uint8Array, channels: number, height: number, width: number, toHeight: number, toWidth: number, filter: BytesFilter): Uint8Array {
  const kind = filters[filter];
  if (!kind) throw new OptionError('resize filter', filter, `one of ${Object.keys(filters).join(', ')}`);
  let wide = data;
  if (width !== toWidth) {
    wide = new Uint8Array(height * toWidth * channels);
    const lines = Array.from({ length: height * channels }, (_, i) => [Math.floor(i / channels), i % channels] as const).map(([y, c]) => ({ read: y * width * channels + c, write: y * toWidth * channels + c }));
    pass(data, wide, tapsOf(width, toWidth, kind), lines, channels, channels);
  }
  if (height === toHeight) return wide === data ? Uint8Array.from(data) : wide;
  const out = new Uint8Array(toHeight * toWidth * channels);
  const row = toWidth * channels;
  pass(wide, out, tapsOf(height, toHeight, kind), Array.from({ length: row }, (_, i) => ({ read: i, write: i })), row, row);
  return out;
}
