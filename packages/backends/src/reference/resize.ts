import { CapabilityError } from '@ediffi/core';
import { int, type Op } from './op.js';
import { size, value, type Value } from './value.js';

/** Where an output position reads: the low neighbour, the high one, and the high one's share. */
type Taps = (position: number) => readonly [number, number, number];

const NEAREST: Readonly<Record<string, (at: number) => number>> = {
  floor: Math.floor,
  ceil: Math.ceil,
  round_prefer_floor: (at) => Math.ceil(at - 0.5),
  round_prefer_ceil: (at) => Math.floor(at + 0.5),
};

/** Coordinates of the input, by the names of ONNX's Resize. */
const COORDINATES: Readonly<Record<string, (i: number, scale: number, from: number, to: number) => number>> = {
  asymmetric: (i, scale) => i / scale,
  half_pixel: (i, scale) => (i + 0.5) / scale - 0.5,
  pytorch_half_pixel: (i, scale, _, to) => (to > 1 ? (i + 0.5) / scale - 0.5 : 0),
  align_corners: (i, _, from, to) => (to > 1 ? (i * (from - 1)) / (to - 1) : 0),
};

function resize(x: Value, shape: readonly number[], vertical: Taps, horizontal: Taps): Value {
  const [planes, h, w] = [size(x.shape.slice(0, 2)), x.shape[2]!, x.shape[3]!];
  const [oh, ow] = [shape[2]!, shape[3]!];
  const out = new Float64Array(planes * oh * ow);
  for (let p = 0; p < planes; p++) {
    const read = (r: number, c: number): number => x.data[(p * h + r) * w + c]!;
    for (let y = 0; y < oh; y++) {
      const [y0, y1, fy] = vertical(y);
      for (let z = 0; z < ow; z++) {
        const [x0, x1, fx] = horizontal(z);
        const top = read(y0, x0) + (fx ? fx * (read(y0, x1) - read(y0, x0)) : 0);
        const bottom = fy ? read(y1, x0) + (fx ? fx * (read(y1, x1) - read(y1, x0)) : 0) : 0;
        out[(p * oh + y) * ow + z] = top + (fy ? fy * (bottom - top) : 0);
      }
    }
  }
  return value(out, shape, x.dtype);
}

/** Resizing of pictures: nearest and linear. */
export const resizes: Readonly<Record<string, Op>> = {
  Resize: ([x, , scales, sizes], attributes) => {
    const { shape: old } = x!;
    const shape = sizes?.data.length ? [...sizes.data] : old.map((n, i) => Math.floor(n * scales!.data[i]!));
    const mode = attributes.get('mode')?.s ?? 'nearest';
    const named = attributes.get('coordinate_transformation_mode')?.s ?? 'half_pixel';
    const [coordinate, nearest] = [COORDINATES[named], NEAREST[attributes.get('nearest_mode')?.s ?? 'round_prefer_floor']];
    const plain = old.length === 4 && shape[0] === old[0] && shape[1] === old[1] && !int(attributes, 'antialias', 0) && !int(attributes, 'exclude_outside', 0);
    if (!plain || !coordinate || !nearest || (mode !== 'nearest' && mode !== 'linear')) throw new CapabilityError('reference backend', `Resize ${mode} with ${named} coordinates over ${old.length} axes is not supported`);
    const taps = (axis: number): Taps => {
      const [from, to] = [old[axis]!, shape[axis]!];
      const scale = scales?.data.length ? scales.data[axis]! : to / from;
      const inside = (at: number): number => Math.min(from - 1, Math.max(0, at));
      return (i) => {
        const at = coordinate(i, scale, from, to);
        if (mode === 'nearest') return [inside(nearest(at)), 0, 0];
        const low = Math.floor(inside(at));
        return [low, inside(low + 1), inside(at) - low];
      };
    };
    return [resize(x!, shape, taps(2), taps(3))];
  },
};
