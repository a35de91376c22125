/*
 * Bilinear resize with half-pixel centres. Shrinking widens the triangle to the ratio (antialias), as torch.nn.functional.interpolate
 * with mode 'bilinear', antialias=True; enlarging equals align_corners=False.
 */

interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

function taps(from: number, to: number): Taps[] {
  const ratio = from / to;
  const support = Math.max(1, ratio);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * ratio;
    const first = Math.max(0, Math.floor(center - support + 0.5));
    const last = Math.min(from, Math.floor(center + support + 0.5));
    const raw = Array.from({ length: last - first }, (_, k) => Math.max(0, 1 - Math.abs((first + k + 0.5 - center) / support)));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, weights: raw.map((w) => w / sum) };
  });
}

/** Resizes one plane `[height, width]` to `[toHeight, toWidth]`. */
export function resizePlane(plane: Float32Array, height: number, width: number, toHeight: number, toWidth: number): Float32Array {
  if (height === toHeight && width === toWidth) return Float32Array.from(plane);
  const columns = taps(width, toWidth);
  const rows = taps(height, toHeight);
  const middle = new Float64Array(height * toWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++) {
      const { first, weights } = columns[x]!;
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * plane[y * width + first + k]!;
      middle[y * toWidth + x] = sum;
    }
  }
  const out = new Float32Array(toHeight * toWidth);
  for (let y = 0; y < toHeight; y++) {
    const { first, weights } = rows[y]!;
    for (let x = 0; x < toWidth; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * middle[(first + k) * toWidth + x]!;
      out[y * toWidth + x] = sum;
    }
  }
  return out;
}

/** Resizes every plane of `[planes, height, width]`. */
export function resizePlanes(data: Float32Array, planes: number, height: number, width: number, toHeight: number, toWidth: number): Float32Array {
  const out = new Float32Array(planes * toHeight * toWidth);
  for (let p = 0; p < planes; p++) {
    out.set(resizePlane(data.subarray(p * height * width, (p + 1) * height * width), height, width, toHeight, toWidth), p * toHeight * toWidth);
  }
  return out;
}
