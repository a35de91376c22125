import { CapabilityError } from '@ediffi/core';
import { int, ints, type Op } from './op.js';
import { size, value, type Value } from './value.js';

function conv(x: Value, w: Value, bias: Value | undefined, stride: readonly number[], pads: readonly number[], dilation: readonly number[], group: number): Value {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [outputs, each, kh, kw] = w.shape as [number, number, number, number];
  const [sv = 1, sh = 1] = stride;
  const [dv = 1, dh = 1] = dilation;
  const [top = 0, leftPad = 0, bottom = 0, rightPad = 0] = pads;
  const oh = Math.floor((height + top + bottom - dv * (kh - 1) - 1) / sv) + 1;
  const ow = Math.floor((width + leftPad + rightPad - dh * (kw - 1) - 1) / sh) + 1;
  const out = new Float64Array(batch * outputs * oh * ow);
  for (let b = 0; b < batch; b++) {
    for (let o = 0; o < outputs; o++) {
      const plane = out.subarray((b * outputs + o) * oh * ow, (b * outputs + o + 1) * oh * ow).fill(bias?.data[o] ?? 0);
      const first = Math.floor((o * group) / outputs) * each;
      for (let c = 0; c < each; c++) {
        const source = x.data.subarray((b * channels + first + c) * height * width);
        for (let i = 0; i < kh; i++) {
          for (let j = 0; j < kw; j++) {
            const weight = w.data[((o * each + c) * kh + i) * kw + j]!;
            for (let y = 0; y < oh; y++) {
              const sy = y * sv + i * dv - top;
              if (sy < 0 || sy >= height) continue;
              for (let z = 0; z < ow; z++) {
                const sx = z * sh + j * dh - leftPad;
                if (sx >= 0 && sx < width) plane[y * ow + z] = plane[y * ow + z]! + weight * source[sy * width + sx]!;
              }
            }
          }
        }
      }
    }
  }
  return value(out, [batch, outputs, oh, ow], x.dtype);
}

/** Windows of a picture folded to one number each; what lies outside does not count. */
function pool(x: Value, kernel: readonly number[], stride: readonly number[], pads: readonly number[], finish: (values: number[]) => number): Value {
  const [planes, h, w] = [size(x.shape.slice(0, 2)), x.shape[2]!, x.shape[3]!];
  const [kh = 1, kw = 1] = kernel;
  const [sv = 1, sh = 1] = stride;
  const [top = 0, left = 0, bottom = 0, right = 0] = pads;
  const [oh, ow] = [Math.floor((h + top + bottom - kh) / sv) + 1, Math.floor((w + left + right - kw) / sh) + 1];
  const out = new Float64Array(planes * oh * ow);
  for (let at = 0; at < out.length; at++) {
    const [p, y, z] = [Math.floor(at / (oh * ow)), Math.floor(at / ow) % oh, at % ow];
    const seen: number[] = [];
    for (let r = Math.max(0, y * sv - top); r < Math.min(h, y * sv - top + kh); r++) {
      for (let c = Math.max(0, z * sh - left); c < Math.min(w, z * sh - left + kw); c++) seen.push(x.data[(p * h + r) * w + c]!);
    }
    out[at] = finish(seen);
  }
  return value(out, [x.shape[0]!, x.shape[1]!, oh, ow], x.dtype);
}

const pooling = (finish: (values: number[], area: number) => number): Op => ([x], attributes) => {
  const kernel = ints(attributes, 'kernel_shape', [1, 1]);
  const pads = ints(attributes, 'pads', [0, 0, 0, 0]);
  if (x!.shape.length !== 4 || int(attributes, 'ceil_mode', 0) || ints(attributes, 'dilations', [1, 1]).some((d) => d !== 1) || notExplicit(attributes)) {
    throw new CapabilityError('reference backend', 'pooling of other than pictures, with ceil_mode, dilation or auto_pad is not supported');
  }
  const area = int(attributes, 'count_include_pad', 0) ? size(kernel) : 0;
  return [pool(x!, kernel, ints(attributes, 'strides', [1, 1]), pads, (values) => finish(values, area || values.length))];
};

const notExplicit = (attributes: Parameters<Op>[1]): boolean => !['NOTSET', undefined].includes(attributes.get('auto_pad')?.s);

/** Convolution and pooling of pictures. */
export const convolutions: Readonly<Record<string, Op>> = {
  Conv: ([x, w, b], attributes) => {
    if (x!.shape.length !== 4 || notExplicit(attributes)) throw new CapabilityError('reference backend', `Conv over ${x!.shape.length - 2} axes or with auto_pad is not supported`);
    return [conv(x!, w!, b, ints(attributes, 'strides', [1, 1]), ints(attributes, 'pads', [0, 0, 0, 0]), ints(attributes, 'dilations', [1, 1]), int(attributes, 'group', 1))];
  },
  AveragePool: pooling((values, area) => values.reduce((a, b) => a + b, 0) / area),
  MaxPool: pooling((values) => Math.max(...values)),
  GlobalAveragePool: ([x]) => {
    const run = size(x!.shape.slice(2));
    const out = Float64Array.from({ length: x!.data.length / run }, (_, i) => x!.data.subarray(i * run, (i + 1) * run).reduce((a, b) => a + b, 0) / run);
    return [value(out, x!.shape.map((n, i) => (i < 2 ? n : 1)), x!.dtype)];
  },
};
