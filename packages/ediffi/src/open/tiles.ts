/*
 * Large pictures piece by piece: overlapping tiles, each weighted with a ramp towards its inner edges, so that neighbours fade into each other:
 *
 *   y = Σ wᵢ·f(xᵢ) / Σ wᵢ,   w rising linearly from the edge over the overlap, in both directions
 */
import { float32, integer, OptionError, type HostTensor } from '@ediffi/core';

/** Sizes of tiles, in pixels of the picture. */
export interface Tiling {
  /** Pictures with more pixels than this are cut into tiles. */
  readonly above?: number;
  readonly size?: number;
  readonly overlap?: number;
}

/** How large the answer is: `ratio` times the input. */
export interface TileScale {
  readonly ratio: number;
  readonly channels?: number;
}

/** Returns the tiling when it is legal. Throws OptionError for an overlap that is not smaller than half a tile. */
export function checkTiling(tiling: Tiling): Tiling {
  const { size = 512, overlap = 128 } = tiling;
  integer('tile size', size, 64, 8192);
  integer('tile overlap', overlap, 0, size);
  if (2 * overlap > size) throw new OptionError('tile overlap', overlap, `at most half of the tile's ${size}`);
  return tiling;
}

/** Applies `f` to `[B, C, H, W]` whole, or in tiles where the picture is larger than `above`. */
export async function tiled(x: HostTensor, f: (tile: HostTensor) => Promise<HostTensor>, { above = 1536 * 1536, size = 512, overlap = 128, ratio }: Tiling & TileScale): Promise<HostTensor> {
  const [batch = 1, channels = 1, height = 1, width = 1] = x.shape;
  const pixels = Math.max(1, ratio); // pixels of the picture per element of x
  if (height * width * pixels * pixels <= above) return f(x);
  const [edge, shared] = [Math.round(size / pixels), Math.round(overlap / pixels)].map((n) => aligned(n, ratio)) as [number, number];
  const starts = (length: number): number[] => {
    const last = Math.max(0, length - edge);
    const count = last === 0 ? 1 : Math.ceil(last / (edge - shared)) + 1;
    return Array.from({ length: count }, (_, i) => (i === count - 1 ? aligned(last, ratio) : i * (edge - shared)));
  };
  const [outHeight, outWidth] = [Math.round(height * ratio), Math.round(width * ratio)];
  let [sum, given]: [Float32Array | undefined, number] = [undefined, 0];
  const weights = new Float32Array(outHeight * outWidth);
  for (const top of starts(height)) for (const left of starts(width)) {
    const [h, w] = [Math.min(edge, height - top), Math.min(edge, width - left)];
    const y = await f(cut(x, top, left, h, w));
    const [, c = 1, oh = 1, ow = 1] = y.shape;
    given = c;
    sum ??= new Float32Array(batch * c * outHeight * outWidth);
    const [oTop, oLeft] = [Math.round(top * ratio), Math.round(left * ratio)];
    const ramp = Math.max(1, Math.round(shared * ratio));
    const weight = (i: number, n: number, first: boolean, last: boolean): number => Math.min(1, first ? 1 : (i + 0.5) / ramp, last ? 1 : (n - i - 0.5) / ramp);
    for (let i = 0; i < oh; i++) for (let j = 0; j < ow; j++) {
      const m = weight(i, oh, top === 0, top + h >= height) * weight(j, ow, left === 0, left + w >= width);
      const at = (oTop + i) * outWidth + oLeft + j;
      weights[at]! += m;
      for (let k = 0; k < batch * c; k++) sum[k * outHeight * outWidth + at]! += m * y.data[(k * oh + i) * ow + j]!;
    }
  }
  const total = sum!;
  return float32(total.map((v, i) => v / weights[i % weights.length]!), [batch, given || channels, outHeight, outWidth]);
}

/** Whole elements of the answer: where it is smaller than the input, tiles begin at multiples of the ratio. */
const aligned = (n: number, ratio: number): number => (ratio < 1 ? Math.round(n * ratio) / ratio : n);

function cut(x: HostTensor, top: number, left: number, height: number, width: number): HostTensor {
  const [batch = 1, channels = 1, h = 1, w = 1] = x.shape;
  const out = new Float32Array(batch * channels * height * width);
  for (let k = 0; k < batch * channels; k++) for (let i = 0; i < height; i++) {
    const from = (k * h + top + i) * w + left;
    out.set(x.data.subarray(from, from + width), (k * height + i) * width);
  }
  return float32(out, [batch, channels, height, width]);
}
