import { CapabilityError, float32, floats, ModelError, randn, type ModelSource } from '@ediffi/core';
import { describe, expect, it } from 'vitest';
import { attention, attentionByHand } from '../conformance/fixtures.js';
import { ortNode } from '../ort-node.js';
import { inspectGraph, instrument } from './index.js';
import { parseModel } from './onnx.js';
import { concat, field, fields } from './wire.js';
import { float32s, int64s, modelBytes, node, valueInfo } from './write.js';

const picture = valueInfo('sample', ['batch', 2, 4, 4]);
const text = valueInfo('encoder_hidden_states', ['batch', 3, 2]);
const result = valueInfo('output', ['batch', 2, 4, 4]);

/** The attention of eager exports: heads merged into the batch, rank 3, the mask added before Softmax. */
function rank3(): ModelSource {
  const bytes = modelBytes({
    nodes: [
      node('Reshape', ['sample', 'to_tokens'], 'flat'),
      node('Transpose', ['flat'], 'query', { perm: [0, 2, 1] }),
      node('MatMul', ['encoder_hidden_states', 'identity'], 'key'),
      node('Transpose', ['key'], 'key_t', { perm: [0, 2, 1] }),
      node('MatMul', ['query', 'key_t'], 'products'),
      node('Mul', ['products', 'one'], 'scaled'),
      node('Add', ['scaled', 'nothing'], 'scores'),
      node('Softmax', ['scores'], 'weights', { axis: -1 }),
      node('MatMul', ['weights', 'key'], 'rows'),
      node('Transpose', ['rows'], 'columns', { perm: [0, 2, 1] }),
      node('Reshape', ['columns', 'to_picture'], 'output'),
    ],
    initializers: [int64s('to_tokens', [0, 2, 16]), int64s('to_picture', [0, 2, 4, 4]), float32s('identity', [2, 2], [1, 0, 0, 1]), float32s('one', [1], [1]), float32s('nothing', [1], [0])],
    inputs: [picture, text],
    outputs: [result],
  });
  return { name: 'rank 3', bytes: async () => bytes };
}

const simple = (nodes: Uint8Array[], inputs = [picture, text]): Uint8Array => modelBytes({ nodes, inputs, outputs: [result] });
const codeOf = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return CapabilityError.isInstance(error) ? error.detail['code'] : error;
  }
  return 'accepted';
};

describe('the reader', () => {
  it('keeps every byte of what it does not touch', async () => {
    const bytes = await attention().bytes();
    expect(concat([...fields(bytes)].map((f) => f.raw))).toEqual(bytes);
  });
  it('does not copy weights', async () => {
    const bytes = await attention().bytes();
    const { initializers } = parseModel(bytes);
    expect(initializers.get('identity')!.raw!.buffer).toBe(bytes.buffer);
  });
  it('refuses broken files with a sentence', () => {
    const bytes = simple([node('Identity', ['sample'], 'output')]);
    for (const cut of [1, 7, bytes.length >> 1]) expect(() => parseModel(bytes.subarray(0, bytes.length - cut))).toThrow(ModelError);
    const ort = concat([Uint8Array.of(0, 0, 0, 0), new TextEncoder().encode('ORTM'), new Uint8Array(8)]);
    expect(() => parseModel(ort)).toThrow(/\.ort format/);
  });
});

describe('inspectGraph', () => {
  it('lists sites with stride, rank and where key columns come from', async () => {
    const report = inspectGraph(await attention().bytes());
    expect(report.sites).toEqual([{ name: 'weights', kind: 'cross', form: 'softmax', stride: 1, rank: 4, columns: [{ input: 't5', length: 3 }] }]);
  });
  it.each<[string, number, Uint8Array[]]>([
    ['a convolution', 2, [node('Conv', ['sample', 'kernel'], 'inner', { strides: [2, 2], pads: [1, 1, 1, 1], kernel_shape: [3, 3] })]],
    ['patches', 4, [node('SpaceToDepth', ['sample'], 'inner', { blocksize: 4 })]],
    ['subpixel upsampling', 2, [node('SpaceToDepth', ['sample'], 'patches', { blocksize: 4 }), node('DepthToSpace', ['patches'], 'inner', { blocksize: 2, mode: 'CRD' })]],
  ])('follows strides through %s', (_, stride, way) => {
    const nodes = [
      ...way, node('Reshape', ['inner', 'to_tokens'], 'flat'), node('Transpose', ['flat'], 'query', { perm: [0, 2, 1] }),
      node('Transpose', ['encoder_hidden_states'], 'key_t', { perm: [0, 2, 1] }),
      node('MatMul', ['query', 'key_t'], 'scores'), node('Softmax', ['scores'], 'weights', { axis: -1 }), node('MatMul', ['weights', 'encoder_hidden_states'], 'output'),
    ];
    const bytes = modelBytes({ nodes, initializers: [int64s('to_tokens', [0, 2, -1]), float32s('kernel', [2, 2, 3, 3], new Array(36).fill(0))], inputs: [picture, text], outputs: [result] });
    expect(inspectGraph(bytes).sites[0]!.stride).toBe(stride);
  });
  it('promises slices only where instrument takes the graph', async () => {
    const attend = (out: string, key: string): Uint8Array[] => [
      node('Transpose', [key], `${out}_t`, { perm: [0, 2, 1] }),
      node('MatMul', ['query', `${out}_t`], `${out}_scores`), node('Softmax', [`${out}_scores`], `${out}_weights`, { axis: -1 }), node('MatMul', [`${out}_weights`, key], out),
    ];
    const graph = (second: string, opset: number): Uint8Array =>
      modelBytes({
        nodes: [
          node('Reshape', ['sample', 'to_tokens'], 'flat'), node('Transpose', ['flat'], 'query', { perm: [0, 2, 1] }),
          ...attend('own', 'query'), ...attend('first', 'encoder_hidden_states'), ...attend('second', second),
          node('Add', ['own', 'first'], 'two'), node('Add', ['two', 'second'], 'output'),
        ],
        initializers: [int64s('to_tokens', [0, 2, 16])], inputs: [picture, text, valueInfo('t5', ['batch', 5, 2])], outputs: [result], opset,
      });
    const graphs = { plain: graph('encoder_hidden_states', 18), old: graph('encoder_hidden_states', 12), 'two texts': graph('t5', 18) };
    const found = Object.entries(graphs).map(([name, bytes]) => [name, inspectGraph(bytes).slicedStride, codeOf(() => instrument(bytes, { slices: 4 }))]);
    expect(found).toEqual([['plain', 1, 'accepted'], ['old', undefined, 'OPSET'], ['two texts', undefined, 'COLUMNS']]);
    expect(inspectGraph(graphs['two texts']).sites.map(({ columns }) => columns)).toEqual([[{ input: 'encoder_hidden_states', length: 3 }], [{ input: 't5', length: 5 }]]);
  });
  it('does not take self-attention or pooling for cross-attention', () => {
    const self = [
      node('Transpose', ['sample'], 'q', { perm: [0, 1, 3, 2] }), node('MatMul', ['sample', 'q'], 's'), node('Softmax', ['s'], 'w', { axis: -1 }), node('MatMul', ['w', 'sample'], 'mixed'),
      node('ReduceMean', ['encoder_hidden_states'], 'pooled', { keepdims: 1 }), node('Mul', ['mixed', 'pooled'], 'output'),
    ];
    expect(codeOf(() => inspectGraph(simple(self)))).toBe('NO_CROSS_ATTENTION');
  });
});

describe('instrument', () => {
  it('reaches rank-3 scores as well: equals arithmetic by hand, strength 0 changes no bit', async () => {
    const backend = ortNode();
    const [stock, session] = await Promise.all([backend.load(rank3()), backend.load(rank3(), { instrument: { regions: true } })]);
    const [sample, words] = [randn([2, 2, 4, 4], 1), randn([2, 3, 2], 2)];
    const map = Float32Array.from({ length: 48 }, (_, i) => Number(i % 3 === 2));
    const run = async (strength: number[]): Promise<Float32Array> =>
      floats((await session.run({ sample, encoder_hidden_states: words, regions_s1: float32(map, [1, 1, 16, 3]), regions_strength: float32(strength, [2, 1, 1, 1]) }))['output']!);
    expect(await run([0, 0])).toEqual(await floats((await stock.run({ sample, encoder_hidden_states: words }))['output']!));
    const y = await run([0.8, 0]);
    for (const r of [0, 1]) {
      const hand = attentionByHand(sample.data.subarray(32 * r, 32 * r + 32), words.data.subarray(6 * r, 6 * r + 6), map, r === 0 ? 0.8 : 0);
      hand.output.forEach((v, i) => expect(Math.abs(v - y[32 * r + i]!)).toBeLessThan(1e-5));
    }
    await backend.dispose();
  });

  it('gives maps at the strides asked for, and no others', async () => {
    const bytes = await attention().bytes();
    expect(instrument(bytes, { maps: [1] }).sites.strides).toEqual([{ stride: 1, layers: 1, map: 'attention_s1' }]);
    expect(codeOf(() => instrument(bytes, { maps: [1, 2] }))).toBe('STRIDE');
  });

  it('says which statistic it multiplies the strength with, and none without regions', async () => {
    const bytes = await attention().bytes();
    const asked = [{ regions: true }, { regions: true, statistic: 'std' }, { maps: true, statistic: 'std' }] as const;
    expect(asked.map((options) => instrument(bytes, options).sites.statistic)).toEqual(['max', 'std', undefined]);
  });

  it('refuses, with a code, what it cannot do exactly', async () => {
    const instrumented = instrument(await attention().bytes(), { regions: true }).bytes;
    const old = concat([...fields(await attention().bytes())].map((f) => (f.number === 8 ? field(8, concat([field(1, ''), field(2, 11)])) : f.raw)));
    const query = [node('Reshape', ['sample', 'to_tokens'], 'flat'), node('Transpose', ['flat'], 'q', { perm: [0, 2, 1] })];
    const fused = (attributes: Record<string, number>, ...more: string[]): Uint8Array => simple([...query, node('MultiHeadAttention', ['q', 'encoder_hidden_states', 'encoder_hidden_states', ...more], 'output', { num_heads: 1, ...attributes })]);
    const standard = (attributes: Record<string, number>, ...more: string[]): Uint8Array => simple([...query, node('Attention', ['q', 'encoder_hidden_states', 'encoder_hidden_states', ...more], 'output', { q_num_heads: 1, kv_num_heads: 1, ...attributes })]);
    const grouped = simple([...query, node('GroupQueryAttention', ['q', 'encoder_hidden_states', 'encoder_hidden_states'], 'output')]);
    const joint = simple([...query, node('Concat', ['encoder_hidden_states', 'q', 'encoder_hidden_states'], 'output', { axis: 1 })]);
    const unnamed = simple([node('Identity', ['a'], 'output')], [valueInfo('a', ['batch', 2]), valueInfo('b', ['batch', 2])]);
    expect(codeOf(() => instrument(instrumented, { regions: true }))).toBe('ALREADY');
    expect(codeOf(() => instrument(old, { regions: true }))).toBe('OPSET');
    expect(codeOf(() => instrument(fused({ unidirectional: 1 }), { regions: true }))).toBe('CAUSAL');
    expect(codeOf(() => instrument(fused({}, '', 'mask'), { regions: true }))).toBe('PADMASK');
    expect(codeOf(() => instrument(fused({}, '', '', '', 'past'), { regions: true }))).toBe('PAST');
    expect(codeOf(() => instrument(standard({ is_causal: 1 }), { regions: true }))).toBe('CAUSAL');
    expect(codeOf(() => instrument(standard({ kv_num_heads: 2 }), { regions: true }))).toBe('GQA');
    expect(codeOf(() => instrument(standard({}, 'mask'), { regions: true }))).toBe('BOOLMASK');
    expect(codeOf(() => instrument(grouped, { regions: true }))).toBe('GQA');
    expect(codeOf(() => instrument(joint, { regions: true }))).toBe('JOINT');
    expect(codeOf(() => instrument(unnamed, { regions: true }))).toBe('AMBIGUOUS_INPUTS');
    expect(codeOf(() => instrument(simple([node('Identity', ['sample'], 'output')]), { regions: true }))).toBe('NO_CROSS_ATTENTION');
  });
});
