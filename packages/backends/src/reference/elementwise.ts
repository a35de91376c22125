import { erf } from './special.js';
import type { Op } from './op.js';
import { broadcastShape, gatherBroadcast, value, type Value } from './value.js';

const unary = (f: (x: number) => number, dtype?: Value['dtype']): Op => ([x]) => [value(x!.data.map(f), x!.shape, dtype ?? x!.dtype)];

const binary = (f: (a: number, b: number) => number, dtype?: Value['dtype']): Op => ([a, b]) => {
  const shape = broadcastShape(a!.shape, b!.shape);
  const [p, q] = [gatherBroadcast(a!, shape), gatherBroadcast(b!, shape)];
  return [value(Float64Array.from(p, (v, i) => f(v, q[i]!)), shape, dtype ?? a!.dtype)];
};

const whole = (x: Value): boolean => x.dtype === 'int64' || x.dtype === 'int32';

/** Elementwise operators. */
export const elementwise: Readonly<Record<string, Op>> = {
  Abs: unary(Math.abs),
  Neg: unary((x) => -x),
  Sqrt: unary(Math.sqrt),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Tanh: unary(Math.tanh),
  Erf: unary(erf),
  Floor: unary(Math.floor),
  Ceil: unary(Math.ceil),
  Sign: unary(Math.sign),
  Round: unary((x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))), // halves to even
  Softplus: unary((x) => Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x)))),
  LeakyRelu: ([x], attributes) => unary((v) => (v < 0 ? (attributes.get('alpha')?.f ?? 0.01) * v : v))([x], attributes),
  Elu: ([x], attributes) => unary((v) => (v < 0 ? (attributes.get('alpha')?.f ?? 1) * Math.expm1(v) : v))([x], attributes),
  Gelu: ([x], attributes) => unary(attributes.get('approximate')?.s === 'tanh' ? (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))) : (v) => 0.5 * v * (1 + erf(v / Math.SQRT2)))([x], attributes),
  IsNaN: unary((x) => Number(Number.isNaN(x)), 'bool'),
  Relu: unary((x) => Math.max(0, x)),
  Reciprocal: unary((x) => 1 / x),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Not: unary((x) => (x ? 0 : 1)),
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: (inputs) => binary(whole(inputs[0]!) ? (a, b) => Math.trunc(a / b) : (a, b) => a / b)(inputs, new Map()),
  Mod: (inputs, attributes) => binary(attributes.get('fmod')?.i ? (a, b) => a % b : (a, b) => a - b * Math.floor(a / b))(inputs, attributes),
  Sum: (inputs) => [inputs.slice(1).reduce((a, b) => binary((p, q) => p + q)([a, b], new Map())[0]!, inputs[0]!)],
  Pow: binary((a, b) => a ** b),
  Min: (inputs, attributes) => [inputs.slice(1).reduce((a, b) => binary(Math.min)([a, b], attributes)[0]!, inputs[0]!)],
  Max: (inputs, attributes) => [inputs.slice(1).reduce((a, b) => binary(Math.max)([a, b], attributes)[0]!, inputs[0]!)],
  Mean: (inputs) => {
    const sum = inputs.slice(1).reduce((a, b) => binary((p, q) => p + q)([a, b], new Map())[0]!, inputs[0]!);
    return [value(sum!.data.map((v) => v / inputs.length), sum!.shape, sum!.dtype)];
  },
  Equal: binary((a, b) => Number(a === b), 'bool'),
  Greater: binary((a, b) => Number(a > b), 'bool'),
  GreaterOrEqual: binary((a, b) => Number(a >= b), 'bool'),
  Less: binary((a, b) => Number(a < b), 'bool'),
  LessOrEqual: binary((a, b) => Number(a <= b), 'bool'),
  Xor: binary((a, b) => Number(Boolean(a) !== Boolean(b)), 'bool'),
  And: binary((a, b) => Number(a && b), 'bool'),
  Or: binary((a, b) => Number(a || b), 'bool'),
  Clip: ([x, low, high]) => {
    const [min, max] = [low?.data[0] ?? -Infinity, high?.data[0] ?? Infinity];
    return [value(x!.data.map((v) => Math.min(max, Math.max(min, v))), x!.shape, x!.dtype)];
  },
  Where: ([condition, a, b]) => {
    const shape = broadcastShape(broadcastShape(condition!.shape, a!.shape), b!.shape);
    const [c, p, q] = [gatherBroadcast(condition!, shape), gatherBroadcast(a!, shape), gatherBroadcast(b!, shape)];
    return [value(Float64Array.from(c, (v, i) => (v ? p[i]! : q[i]!)), shape, a!.dtype)];
  },
};
