import { CapabilityError, halfToNumber, hostTensor, numberToHalf, randn, sizeOf, type HostTensor, type ModelSource, type Tensor } from '@ediffi/core';
import { afterAll, describe, expect, it } from 'vitest';
import { FLOAT, FLOAT16, INT64 } from './graph/onnx.js';
import { modelBytes, node, valueInfo, type AttributeValue } from './graph/write.js';
import { ortNode } from './ort-node.js';
import { reference } from './reference.js';

type Attributes = Readonly<Record<string, AttributeValue>>;
const x = (...shape: number[]): HostTensor => randn(shape, 1 + shape.length);
const positive = (...shape: number[]): HostTensor => hostTensor(x(...shape).data.map((v) => 0.2 + Math.abs(v)), shape, 'float32');
const ints = (values: number[], shape = [values.length]): HostTensor<'int64'> => hostTensor(BigInt64Array.from(values, BigInt), shape, 'int64');
const bools = (values: number[], shape = [values.length]): HostTensor<'bool'> => hostTensor(Uint8Array.from(values), shape, 'bool');

/** Operator, inputs, attributes, number of outputs, opset. ONNX Runtime is the judge. */
type Case = readonly [op: string, inputs: readonly (HostTensor<'float32'> | HostTensor<'int64'> | HostTensor<'bool'> | undefined)[], attributes?: Attributes, outputs?: number, opset?: number];
const cases: readonly Case[] = [
  ...['Abs', 'Neg', 'Exp', 'Sin', 'Cos', 'Tanh', 'Erf', 'Floor', 'Ceil', 'Relu', 'Sigmoid', 'Sign', 'Round', 'Softplus', 'LeakyRelu', 'Elu', 'IsNaN', 'Identity'].map((op): Case => [op, [x(3, 4)]]),
  ...['Sqrt', 'Log', 'Reciprocal'].map((op): Case => [op, [positive(3, 4)]]),
  ...['Add', 'Sub', 'Mul', 'Div', 'Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Max', 'Min', 'Mean', 'Sum'].map((op): Case => [op, [x(2, 3, 4), x(3, 1)]]),
  ['Add', [ints([1, 2, 3]), ints([4])]], ['Div', [ints([7, -7, 9]), ints([2])]], ['Mod', [ints([7, -7, 9]), ints([4])]], ['Pow', [positive(3), x(3)]], ['Max', [x(3), x(2, 3), x(1)]],
  ['And', [bools([0, 1, 1]), bools([1, 1, 0])]], ['Or', [bools([0, 1, 0]), bools([1, 1, 0])]], ['Xor', [bools([0, 1, 1]), bools([1, 1, 0])]], ['Not', [bools([0, 1])]],
  ['Where', [bools([1, 0, 1]), x(2, 3), x(2, 1)]], ['Clip', [x(2, 3), hostTensor(Float32Array.of(-0.5), [], 'float32'), hostTensor(Float32Array.of(0.4), [], 'float32')]],
  ['Gelu', [x(2, 3)], {}, 1, 20], ['Gelu', [x(2, 3)], { approximate: 'tanh' }, 1, 20],
  ['MatMul', [x(2, 1, 3, 4), x(5, 4, 2)]], ['MatMul', [x(3, 4), x(4, 2)]], ['Gemm', [x(4, 3), x(2, 4), x(2)], { transA: 1, transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } }],
  ['Einsum', [x(2, 3, 4), x(2, 4, 5)], { equation: 'bij,bjk->bik' }], ['Einsum', [x(2, 3, 4, 2)], { equation: 'nhwc->nchw' }], ['Einsum', [x(3, 4), x(4)], { equation: 'ij,j->i' }],
  ['Conv', [x(1, 4, 5, 6), x(6, 2, 3, 3), x(6)], { group: 2, pads: [1, 1, 1, 1], kernel_shape: [3, 3] }], ['Conv', [x(2, 2, 7, 6), x(3, 2, 3, 2)], { pads: [1, 0, 2, 1], strides: [2, 1], dilations: [1, 2], kernel_shape: [3, 2] }],
  ['AveragePool', [x(1, 2, 5, 5)], { kernel_shape: [2, 2], strides: [2, 2] }], ['AveragePool', [x(1, 2, 5, 5)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }], ['MaxPool', [x(1, 2, 5, 5)], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }], ['GlobalAveragePool', [x(2, 3, 4, 5)]],
  ['Softmax', [x(2, 3, 4)]], ['Softmax', [x(2, 3, 4)], { axis: 1 }], ['LogSoftmax', [x(2, 3, 4)], { axis: 0 }], ['CumSum', [x(2, 3), ints([1], [])], { exclusive: 1, reverse: 1 }],
  ...['ReduceMax', 'ReduceMin', 'ReduceMean', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare', 'ReduceSum'].map((op): Case => [op, [x(2, 3, 4), ints([-1, 0])], { keepdims: 0 }]),
  ['ArgMax', [x(2, 3, 4)], { axis: 1 }], ['ArgMin', [x(2, 3, 4)], { axis: -1, keepdims: 0 }],
  ['InstanceNormalization', [x(2, 3, 4), x(3), x(3)]], ['LayerNormalization', [x(2, 3, 4), x(4), x(4)]], ['GroupNormalization', [x(2, 4, 3), x(4), x(4)], { num_groups: 2 }, 1, 21], ['BatchNormalization', [x(2, 3, 4), x(3), x(3), x(3), positive(3)]],
  ['Resize', [x(1, 2, 3, 4), undefined, hostTensor(Float32Array.of(1, 1, 2, 2), [4], 'float32')], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }],
  ['Resize', [x(1, 2, 3, 4), undefined, undefined, ints([1, 2, 5, 3])], { mode: 'nearest' }], ['Resize', [x(1, 2, 3, 4), undefined, undefined, ints([1, 2, 7, 6])], { mode: 'linear' }], ['Resize', [x(1, 2, 3, 4), undefined, undefined, ints([1, 2, 7, 6])], { mode: 'linear', coordinate_transformation_mode: 'align_corners' }],
  ['Shape', [x(2, 3)]], ['ConstantOfShape', [ints([2, 3])]], ['Range', [ints([2], []), ints([9], []), ints([3], [])]], ['Cast', [x(2, 3)], { to: 7 }], ['Cast', [x(2, 3)], { to: 10 }], ['Cast', [ints([0, 2])], { to: 9 }],
  ['Reshape', [x(2, 3, 4), ints([0, -1])]], ['Flatten', [x(2, 3, 4)], { axis: 2 }], ['Unsqueeze', [x(2, 3), ints([0, -1])]], ['Squeeze', [x(1, 2, 1), ints([-1])]], ['Transpose', [x(2, 3, 4)], { perm: [2, 0, 1] }], ['Expand', [x(3, 1), ints([2, 1, 4])]],
  ['Concat', [x(2, 3), x(2, 3)], { axis: -1 }], ['Split', [x(2, 6), ints([2, 4])], { axis: 1 }, 2], ['Split', [x(2, 6)], { axis: 1, num_outputs: 3 }, 3], ['Slice', [x(5, 6), ints([4, -5]), ints([0, 100]), ints([0, 1]), ints([-2, 2])]], ['Gather', [x(3, 4), ints([2, -1, 0, 1], [2, 2])], { axis: 1 }],
  ['GatherElements', [x(2, 3), ints([2, 0, 1, -1], [2, 2])], { axis: 1 }], ['Pad', [x(2, 3), ints([1, 0, 0, 2]), hostTensor(Float32Array.of(1.5), [], 'float32')]], ['Pad', [x(2, 3), ints([1, -1]), hostTensor(Float32Array.of(0), [], 'float32'), ints([-1])]], ['Tile', [x(2, 3), ints([2, 2])]], ['Trilu', [x(4, 4), ints([1], [])], { upper: 0 }],
  ['DepthToSpace', [x(1, 8, 2, 3)], { blocksize: 2 }], ['DepthToSpace', [x(1, 8, 2, 3)], { blocksize: 2, mode: 'CRD' }], ['SpaceToDepth', [x(1, 2, 4, 6)], { blocksize: 2 }],
  ['Attention', [x(2, 3, 8), x(2, 5, 8), x(2, 5, 8)], { q_num_heads: 2, kv_num_heads: 2 }, 1, 23], ['Attention', [x(2, 2, 3, 4), x(2, 2, 5, 4), x(2, 2, 5, 4), x(3, 5)], { scale: { float: 0.3 } }, 1, 23],
];

const types = { float32: FLOAT, int64: INT64, bool: 9, float16: FLOAT16 } as const;

/** One node as a model; outputs are declared as the operator makes them. */
function single([op, inputs, attributes = {}, outputs = 1, opset = 18]: Case): ModelSource {
  const result = /^(Equal|Greater|Less|And|Or|Xor|Not|IsNaN)/.test(op) ? 9 : /^(Shape|Arg)/.test(op) ? INT64 : op === 'Cast' ? (attributes['to'] as number) : op === 'ConstantOfShape' ? FLOAT : op === 'Where' ? FLOAT : types[inputs[0]!.dtype];
  const names = inputs.map((t, i) => (t ? `i${i}` : ''));
  const made = Array.from({ length: outputs }, (_, i) => `o${i}`);
  const bytes = modelBytes({ opset, nodes: [node(op, names, made, attributes)], inputs: inputs.flatMap((t, i) => (t ? [valueInfo(names[i]!, t.shape, types[t.dtype])] : [])), outputs: made.map((name) => valueInfo(name, undefined, result)) });
  return { name: op, bytes: async () => bytes };
}

describe('the reference interpreter equals ONNX Runtime, operator by operator', () => {
  const backends = [reference(), ortNode()] as const;
  afterAll(() => Promise.all(backends.map((backend) => backend.dispose())));
  it.each(cases.map((c) => [`${c[0]} ${JSON.stringify(c[1].map((t) => t?.shape))} ${JSON.stringify(c[2] ?? {})}`, c] as const))('%s', async (_, c) => {
    const feeds: Record<string, Tensor> = Object.fromEntries(c[1].flatMap((t, i) => (t ? [[`i${i}`, t]] : [])));
    const [mine, theirs] = await Promise.all(backends.map(async (backend) => {
      const session = await backend.load(single(c));
      const outputs = await session.run(feeds);
      await session.dispose();
      return outputs;
    }));
    for (const [name, expected] of Object.entries(theirs!)) {
      const [actual, wanted] = [await mine![name]!.toHost(), await expected.toHost()];
      expect([actual.dtype, actual.shape]).toEqual([wanted.dtype, wanted.shape]);
      expect(sizeOf(wanted.shape)).toBe(wanted.data.length);
      const [a, b] = [actual.data, wanted.data].map((data) => Array.from(data as ArrayLike<number | bigint>, (v) => (wanted.dtype === 'float16' ? halfToNumber(Number(v)) : Number(v))));
      b!.forEach((v, i) => expect(Math.abs(v - a![i]!), `${name}[${i}]: ${a![i]} for ${v}`).toBeLessThanOrEqual(4e-6 * Math.max(1, Math.abs(v))));
    }
  });

  it('rounds to float16 as IEEE 754 does', () => {
    for (let bits = 0; bits < 0x7c01; bits++) expect(numberToHalf(halfToNumber(bits))).toBe(bits);
    expect([1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520, 2 ** -25, 2 ** -25 * 1.01, -1e-9].map(numberToHalf)).toEqual([0x3c00, 0x3c02, 0x7bff, 0x7c00, 0, 1, 0x8000]);
  });

  it('names the operators it lacks, other domains included', async () => {
    const bytes = modelBytes({ nodes: [node('Hardmax', ['x'], 'h'), node('NonZero', ['h'], 'y')], inputs: [valueInfo('x', [2])], outputs: [valueInfo('y', [2])] });
    const error = await reference().load({ name: 'odd', bytes: async () => bytes }).catch((e: unknown) => e);
    expect(CapabilityError.isInstance(error) && error.message).toBe('odd: operators Hardmax, NonZero are not supported — use ort-node');
  });
});
