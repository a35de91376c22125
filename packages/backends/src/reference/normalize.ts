import { int, type Op } from './op.js';
import { axisOf, size, value, type Value } from './value.js';

/** Normalises runs of `run` elements to mean 0, variance 1. */
function normalised(x: Value, run: number, epsilon: number): Float64Array {
  const out = new Float64Array(x.data.length);
  for (let start = 0; start < out.length; start += run) {
    const part = x.data.subarray(start, start + run);
    const mean = part.reduce((a, b) => a + b, 0) / run;
    const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / run;
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (let i = 0; i < run; i++) out[start + i] = (part[i]! - mean) * scale;
  }
  return out;
}

/** Scale and shift per channel (axis 1). */
function perChannel(out: Float64Array, x: Value, scale: Value, bias: Value): Value {
  const [run, channels] = [size(x.shape.slice(2)), x.shape[1]!];
  return value(out.map((v, i) => v * scale.data[Math.floor(i / run) % channels]! + bias.data[Math.floor(i / run) % channels]!), x.shape, x.dtype);
}

/** Normalisations. */
export const normalizations: Readonly<Record<string, Op>> = {
  InstanceNormalization: ([x, scale, bias], attributes) => [perChannel(normalised(x!, size(x!.shape.slice(2)), attributes.get('epsilon')?.f ?? 1e-5), x!, scale!, bias!)],
  GroupNormalization: ([x, scale, bias], attributes) => {
    const groups = int(attributes, 'num_groups', 1);
    const each = x!.shape[1]! / groups;
    // Opset 18 has one scale per group, opset 21 one per channel.
    const wide = (v: Value): Value => (v.data.length === groups && each > 1 ? value(Float64Array.from({ length: groups * each }, (_, c) => v.data[Math.floor(c / each)]!), [groups * each], v.dtype) : v);
    return [perChannel(normalised(x!, each * size(x!.shape.slice(2)), attributes.get('epsilon')?.f ?? 1e-5), x!, wide(scale!), wide(bias!))];
  },
  BatchNormalization: ([x, scale, bias, mean, variance], attributes) => {
    const epsilon = attributes.get('epsilon')?.f ?? 1e-5;
    const [run, channels] = [size(x!.shape.slice(2)), x!.shape[1]!];
    const out = x!.data.map((v, i) => {
      const c = Math.floor(i / run) % channels;
      return (v - mean!.data[c]!) / Math.sqrt(variance!.data[c]! + epsilon);
    });
    return [perChannel(out, x!, scale!, bias!)];
  },
  LayerNormalization: ([x, scale, bias], attributes) => {
    const axis = axisOf(int(attributes, 'axis', -1), x!.shape.length);
    const run = size(x!.shape.slice(axis));
    const out = normalised(x!, run, attributes.get('epsilon')?.f ?? 1e-5);
    return [value(out.map((v, i) => v * scale!.data[i % run]! + (bias?.data[i % run] ?? 0)), x!.shape, x!.dtype)];
  },
};
