import { CapabilityError } from '@ediffi/core';
import { int, type Op } from './op.js';
import { broadcastShape, gatherBroadcast, size, strides, value, type Value } from './value.js';

function matmul(a: Value, b: Value): Value {
  const [m, k] = [a.shape.at(-2) ?? 1, a.shape.at(-1)!];
  const n = b.shape.at(-1)!;
  const lead = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const wide = (v: Value, r: number, c: number): Float64Array => gatherBroadcast(v, [...lead, r, c]);
  const [p, q] = [wide(a, m, k), wide(b, k, n)];
  const batch = size(lead);
  const out = new Float64Array(batch * m * n);
  for (let t = 0; t < batch; t++) {
    for (let i = 0; i < m; i++) {
      for (let l = 0; l < k; l++) {
        const x = p[(t * m + i) * k + l]!;
        if (x === 0) continue;
        const [row, from] = [(t * m + i) * n, (t * k + l) * n];
        for (let j = 0; j < n; j++) out[row + j] = out[row + j]! + x * q[from + j]!;
      }
    }
  }
  return value(out, [...lead, m, n], a.dtype);
}

function transposed(x: Value): Value {
  const [r, c] = x.shape as [number, number];
  return value(Float64Array.from(x.data, (_, i) => x.data[(i % r) * c + Math.floor(i / r)]!), [c, r], x.dtype);
}

/** Sums over every index that the result does not name; letters and one leading ellipsis. */
function einsum(equation: string, inputs: readonly Value[]): Value {
  const [left = '', right] = equation.replace(/\s/g, '').split('->');
  const terms = left.split(',');
  if (terms.length !== inputs.length || /\./.test(equation)) throw new CapabilityError('reference backend', `Einsum '${equation}' is not supported`);
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => [...term].forEach((letter, axis) => sizes.set(letter, Math.max(sizes.get(letter) ?? 1, inputs[i]!.shape[axis]!))));
  const letters = [...sizes.keys()];
  const output = right ?? letters.filter((l) => left.split(l).length === 2).sort().join('');
  const loops = [...output, ...letters.filter((l) => !output.includes(l))];
  const steps = terms.map((term, i) => {
    const own = strides(inputs[i]!.shape);
    return loops.map((letter) => [...term].reduce((sum, l, axis) => (l === letter && inputs[i]!.shape[axis] !== 1 ? sum + own[axis]! : sum), 0));
  });
  const shape = [...output].map((l) => sizes.get(l)!);
  const inner = size(loops.slice(output.length).map((l) => sizes.get(l)!));
  const out = new Float64Array(size(shape));
  const index = new Array<number>(loops.length).fill(0);
  for (let n = 0; n < out.length * inner; n++) {
    out[Math.floor(n / inner)]! += inputs.reduce((product, input, i) => product * input.data[index.reduce((at, k, loop) => at + k * steps[i]![loop]!, 0)]!, 1);
    for (let loop = loops.length - 1; loop >= 0 && ++index[loop]! === sizes.get(loops[loop]!); loop--) index[loop] = 0;
  }
  return value(out, shape, inputs[0]!.dtype);
}

/** Matrix products. */
export const linear: Readonly<Record<string, Op>> = {
  MatMul: ([a, b]) => [matmul(a!, b!)],
  Gemm: ([a, b, c], attributes) => {
    const product = matmul(int(attributes, 'transA', 0) ? transposed(a!) : a!, int(attributes, 'transB', 0) ? transposed(b!) : b!);
    const [alpha, beta] = [attributes.get('alpha')?.f ?? 1, attributes.get('beta')?.f ?? 1];
    const added = c ? gatherBroadcast(c, product.shape) : undefined;
    return [value(product.data.map((v, i) => alpha * v + (added ? beta * added[i]! : 0)), product.shape, product.dtype)];
  },
  Einsum: (inputs, attributes) => [einsum(attributes.get('equation')?.s ?? '', inputs as Value[])],
};
