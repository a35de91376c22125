/*
 * A picture as CLIP's image encoders take it, as transformers' CLIPImageProcessor (its Pillow backend) makes it: the shorter edge resized, the middle cut out,
 * (v/255 − mean)/std per channel.
 */
import { float32, integer, OptionError, resizeBytes, ShapeError, type BytesFilter, type HostTensor } from '@ediffi/core';

/** Red, green and blue bytes, row by row. */
export interface RgbPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A preprocessor's settings. */
export interface PixelOptions {
  /** The shorter edge, or both; undefined: not resized. */
  readonly resize?: number | { readonly height: number; readonly width: number };
  /** What is cut from the middle; undefined: nothing. */
  readonly crop?: { readonly height: number; readonly width: number };
  readonly filter: BytesFilter;
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

type Json = Readonly<Record<string, unknown>>;

const sizeOf = (value: unknown): { height: number; width: number } | number | undefined => {
  if (typeof value === 'number') return value;
  const { shortest_edge: edge, height, width } = (value ?? {}) as Record<string, unknown>;
  if (typeof edge === 'number') return edge;
  return typeof height === 'number' && typeof width === 'number' ? { height, width } : undefined;
};

/** Reads preprocessor_config.json (absent: CLIP's own numbers); `size` is the edge that the encoder takes. Throws OptionError for a resampling or numbers that are not CLIP's kind. */
export function pixelOptions(config: Json = {}, size: number): PixelOptions {
  const names: Readonly<Record<number, BytesFilter>> = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' };
  const filter = names[Number(config['resample'] ?? 3)];
  if (!filter) throw new OptionError('preprocessor resample', config['resample'], '1 (Lanczos), 2 (bilinear) or 3 (bicubic)');
  const list = (key: string, fallback: readonly number[]): readonly number[] => {
    const value = config['do_normalize'] === false ? (key === 'image_mean' ? [0, 0, 0] : [1, 1, 1]) : (config[key] ?? fallback);
    if (!Array.isArray(value) || value.length !== 3 || !value.every((v) => typeof v === 'number' && Number.isFinite(v))) throw new OptionError(`preprocessor ${key}`, JSON.stringify(value), 'three numbers');
    return value as number[];
  };
  const [edge, cut] = [sizeOf(config['size']) ?? size, sizeOf(config['crop_size']) ?? size];
  const crop = typeof cut === 'number' ? { height: cut, width: cut } : cut;
  return {
    ...(config['do_resize'] !== false && { resize: edge }),
    ...(config['do_center_crop'] !== false && { crop }),
    filter,
    rescale: config['do_rescale'] === false ? 1 : Number(config['rescale_factor'] ?? 1 / 255),
    mean: list('image_mean', [0.48145466, 0.4578275, 0.40821073]),
    std: list('image_std', [0.26862954, 0.26130258, 0.27577711]),
  };
}

/** One picture → pixels `[1, 3, H, W]`. Beyond its edges a picture smaller than the cut is black, as transformers pads it. */
export function clipPixels({ width, height, data }: RgbPicture, { resize, crop, filter, rescale, mean, std }: PixelOptions): HostTensor {
  if (data.length !== 3 * width * height || data.length === 0) throw new ShapeError('picture', 'width × height × 3 bytes, none of them zero', `${width} × ${height} with ${data.length} bytes`);
  const target = typeof resize === 'number' ? shortest(height, width, integer('preprocessor size', resize, 1)) : (resize ?? { height, width });
  const resized = resizeBytes(data, 3, height, width, target.height, target.width, filter);
  const { height: rows, width: columns } = crop ?? target;
  const [top, left] = [Math.floor((target.height - rows) / 2), Math.floor((target.width - columns) / 2)];
  const out = new Float32Array(3 * rows * columns);
  for (let c = 0; c < 3; c++) for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
    const [v, u] = [y + top, x + left];
    const inside = v >= 0 && v < target.height && u >= 0 && u < target.width;
    const value = inside ? resized[(v * target.width + u) * 3 + c]! : 0;
    out[(c * rows + y) * columns + x] = (value * rescale - mean[c]!) / std[c]!;
  }
  return float32(out, [1, 3, rows, columns]);
}

const shortest = (height: number, width: number, edge: number): { height: number; width: number } =>
  height <= width ? { height: edge, width: Math.trunc((edge * width) / height) } : { height: Math.trunc((edge * height) / width), width: edge };
