import { describe, expect, it } from 'vitest';
import {
  bind, CapabilityError, float32, floats, guided, ModelError, PaintWithWords, PhraseError, precondition, sessionNetwork, ShapeError, type AttentionRecord, type Conditioning, type PromptEmbedding,
  type Session, type Tensor, type TokenSpan,
} from '../index.js';

const prompt = 'a cat on grass';
const spans: TokenSpan[] = [...prompt.matchAll(/\w+/g)].map((m, i) => ({ start: m.index, end: m.index + m[0].length, column: i }));

/** A session that records its feeds and answers with the picture it was given. */
function fake(sites?: Session['sites'], maps = false): { session: Session; calls: Record<string, Tensor & { data: Float32Array }>[] } {
  const calls: Record<string, Tensor & { data: Float32Array }>[] = [];
  const shapes: Record<string, (number | string)[]> = { sample: ['batch', 3, 'h', 'w'], c_noise: ['batch'], t5: ['batch', 6, 2], clip: ['batch', 5, 2], clip_pooled: ['batch', 2], clip_image: ['batch', 2] };
  const session: Session = {
    name: 'fake.onnx',
    inputs: Object.entries(shapes).map(([name, shape]) => ({ name, dtype: 'float32', shape })),
    outputs: [{ name: 'output', dtype: 'float32', shape: ['batch', 3, 'h', 'w'] }],
    ...(sites && { sites }),
    async run(feeds) {
      calls.push(feeds as (typeof calls)[number]);
      const [batch] = feeds['sample']!.shape;
      return { output: feeds['sample']!, ...(maps && { attention_s2: float32(new Float32Array(batch! * 4 * 16).fill(1 / 16), [batch!, 4, 16]) }) };
    },
    dispose: async () => undefined,
  };
  return { session, calls };
}
const sites: NonNullable<Session['sites']> = {
  columns: [{ input: 't5', offset: 0, length: 6 }, { input: 'clip', offset: 6, length: 5 }, { input: 'clip_image', offset: 11, length: 4 }, { input: 'constant', offset: 15, length: 1 }],
  strides: [{ stride: 2, layers: 1, input: 'regions_s2' }],
  strength: 'regions_strength',
};
const embedding = (length: number, rows = 1, shift = 0): PromptEmbedding => ({
  tokens: float32(new Float32Array(rows * length * 2).fill(1), [rows, length, 2]),
  pooled: float32(new Float32Array(rows * 2).fill(1), [rows, 2]),
  length,
  spans: Array.from({ length: rows }, () => spans.map((s) => ({ ...s, column: s.column + shift }))),
});
const x = float32(new Float32Array(48).fill(0.5), [1, 3, 4, 4]);
const denoiserOf = (session: Session): ReturnType<typeof precondition<Conditioning>> => precondition(sessionNetwork(session), { sigmaData: 0.5, sigmaMin: 0.01, sigmaMax: 80 });

describe('sessionNetwork', () => {
  it('feeds c_in·x, c_noise, the embeddings, and zeros for absent encoders', async () => {
    const { session, calls } = fake();
    await bind(denoiserOf(session), { embeddings: { t5: embedding(6) } })(x, 2);
    const feeds = calls[0]!;
    expect(feeds['sample']!.data[0]).toBeCloseTo(0.5 / Math.hypot(2, 0.5), 6);
    expect(feeds['c_noise']!.data[0]).toBeCloseTo(Math.log(2) / 4, 6);
    expect([...feeds['t5']!.data]).toEqual(new Array(12).fill(1));
    for (const [name, shape] of [['clip', [1, 5, 2]], ['clip_pooled', [1, 2]], ['clip_image', [1, 2]]] as const) {
      expect(feeds[name]!.shape).toEqual(shape);
      expect(feeds[name]!.data.every((v) => v === 0)).toBe(true);
    }
  });
  it('serves a batch from one row of conditioning', async () => {
    const { session, calls } = fake();
    await bind(denoiserOf(session), { embeddings: { t5: embedding(6) } })(float32(new Float32Array(144), [3, 3, 4, 4]), 2);
    expect(calls[0]!['t5']!.shape).toEqual([3, 6, 2]);
  });
  it('prepares conditioning once, not at every call', async () => {
    const { session, calls } = fake();
    const D = bind(denoiserOf(session), { embeddings: { t5: embedding(6) } });
    await D(x, 2);
    await D(x, 1);
    expect(calls[1]!['t5']).toBe(calls[0]!['t5']);
  });
  it('passes further graph inputs on', async () => {
    const { session, calls } = fake();
    const wider: Session = { ...session, inputs: [...session.inputs, { name: 'low_res', dtype: 'float32', shape: ['batch', 3, 1, 1] }] };
    await bind(denoiserOf(wider), { embeddings: {}, inputs: { low_res: float32([7, 8, 9], [1, 3, 1, 1]) } })(x, 2);
    expect([...calls[0]!['low_res']!.data]).toEqual([7, 8, 9]);
  });
  it('refuses an embedding of another width, an unknown encoder, a graph without its inputs, rows that do not divide', async () => {
    const { session } = fake();
    await expect(bind(denoiserOf(session), { embeddings: { t5: embedding(7) } })(x, 2)).rejects.toThrow(ShapeError);
    await expect(bind(denoiserOf(session), { embeddings: { bert: embedding(6) } })(x, 2)).rejects.toThrow(CapabilityError);
    await expect(bind(denoiserOf(session), { embeddings: { t5: embedding(6, 2) } })(float32(new Float32Array(144), [3, 3, 4, 4]), 2)).rejects.toThrow(ShapeError);
    expect(() => sessionNetwork({ ...session, inputs: session.inputs.slice(1) })).toThrow(ModelError);
  });
});

describe('regions in the network', () => {
  const mask = float32(Float32Array.from({ length: 16 }, (_, i) => Number(i % 4 < 2)), [4, 4]);
  const paint = new PaintWithWords([{ phrase: 'cat', mask }], { strength: 0.5 });
  const condition: Conditioning = { prompts: [prompt], embeddings: { t5: embedding(6), clip: embedding(5, 1, 1) }, regions: paint };

  it('arrive as a map per stride, in the columns of every encoder that has words', async () => {
    const { session, calls } = fake(sites);
    await bind(denoiserOf(session), condition)(x, 3);
    const map = calls[0]!['regions_s2']!;
    expect(map.shape).toEqual([1, 1, 4, 16]);
    const lit = [...map.data].flatMap((v, i) => (v > 0.5 ? [[Math.floor(i / 16), i % 16]] : []));
    expect(lit).toEqual([[0, 1], [0, 8], [2, 1], [2, 8]]); // left tokens; t5 column 1, clip column 6 + 2
    expect(calls[0]!['regions_strength']!.data[0]).toBeCloseTo(0.5 * Math.log(4), 6);
  });
  it('touch the positive rows of guidance only', async () => {
    const { session, calls } = fake(sites);
    await bind(guided(denoiserOf(session), 3), { positive: condition, negative: { embeddings: {} } })(x, 3);
    const feeds = calls[0]!;
    expect(feeds['sample']!.shape[0]).toBe(2);
    expect([...feeds['regions_strength']!.data].map((v) => +v.toFixed(4))).toEqual([+(0.5 * Math.log(4)).toFixed(4), 0]);
    expect(feeds['regions_s2']!.shape).toEqual([1, 1, 4, 16]);
    expect([...feeds['t5']!.data.subarray(12)]).toEqual(new Array(12).fill(0));
  });
  it('are zeros with strength 0 when none are given to an instrumented graph', async () => {
    const { session, calls } = fake(sites);
    await bind(denoiserOf(session), { embeddings: {} })(x, 3);
    expect(calls[0]!['regions_s2']!.data.every((v) => v === 0)).toBe(true);
    expect(calls[0]!['regions_strength']!.data[0]).toBe(0);
  });
  it('of a batch with different prompts are each picture’s own, also when further inputs have more rows', async () => {
    const prompts = ['cat a', 'a cat'];
    const spansOf = (text: string): TokenSpan[] => [...text.matchAll(/\w+/g)].map((m, i) => ({ start: m.index, end: m.index + m[0].length, column: i }));
    const t5 = { ...embedding(6, 2), spans: prompts.map(spansOf) };
    const four = float32(new Float32Array(192), [4, 3, 4, 4]);
    const lit = (map: Tensor & { data: Float32Array }): number[][] => Array.from({ length: map.shape[0]! }, (_, r) => [...map.data.subarray(r * 64, r * 64 + 16)].flatMap((v, i) => (v > 0.5 ? [i] : [])));
    const { session, calls } = fake(sites);
    await bind(denoiserOf(session), { prompts, embeddings: { t5 }, regions: paint })(four, 3);
    expect(lit(calls[0]!['regions_s2']!)).toEqual([[0], [0], [1], [1]]);
    const wide = { prompts, embeddings: { t5: { ...t5, tokens: float32(new Float32Array(48).fill(1), [4, 6, 2]), spans: t5.spans.flatMap((s) => [s, s]) } }, regions: paint };
    await bind(guided(denoiserOf(session), 3), { positive: wide, negative: { embeddings: {} } })(four, 3);
    expect(lit(calls[1]!['regions_s2']!)).toEqual([[0], [0], [1], [1], [], [], [], []]);
    expect([...calls[1]!['regions_strength']!.data].map((v) => v > 0)).toEqual([true, true, true, true, false, false, false, false]);
  });
  it('leave rows alone that are not painted', async () => {
    const { session, calls } = fake(sites);
    const two = float32(new Float32Array(96), [2, 3, 4, 4]);
    await bind(guided(denoiserOf(session), 3), { positive: { ...condition, embeddings: { t5: embedding(6, 2) }, painted: [false, true] }, negative: { embeddings: {} } })(two, 3);
    expect([...calls[0]!['regions_strength']!.data].map((v) => v > 0)).toEqual([false, true, false, false]);
    expect(calls[0]!['regions_s2']!.data.some((v) => v > 0)).toBe(true);
  });
  it('are refused where they would be ignored: no prompts, phrase cut off, no text, another statistic', async () => {
    const { session } = fake(sites);
    const D = (c: Conditioning, s = session): Promise<Tensor> => bind(denoiserOf(s), c)(x, 3);
    await expect(D({ embeddings: condition.embeddings, regions: paint })).rejects.toThrow(/Conditioning.prompts/);
    const cut: PromptEmbedding = { ...embedding(6), spans: [spans.slice(0, 1)] };
    await expect(D({ ...condition, embeddings: { t5: cut } })).rejects.toThrow(/t5: 6 tokens/);
    await expect(D({ ...condition, embeddings: {} })).rejects.toThrow(PhraseError);
    await expect(D(condition, fake({ ...sites, statistic: 'std' }).session)).rejects.toThrow(/statistic: 'max'/);
    await expect(D(condition, fake({ ...sites, statistic: 'max' }).session)).resolves.toBeDefined();
  });
  it('are refused by a graph without region inputs', async () => {
    const { session } = fake();
    await expect(bind(denoiserOf(session), condition)(x, 3)).rejects.toThrow(CapabilityError);
  });
});

describe('attention maps of the network', () => {
  it('come with σ, their size and the columns of each encoder', async () => {
    const { session } = fake({ ...sites, strides: [{ stride: 2, layers: 1, input: 'regions_s2', map: 'attention_s2' }] }, true);
    const seen: AttentionRecord[] = [];
    await bind(denoiserOf(session), { embeddings: {} }, { attention: (record) => seen.push(record) })(x, 3);
    expect(seen[0]!.sigma).toBe(3);
    expect([seen[0]!.maps[0]!.height, seen[0]!.maps[0]!.width]).toEqual([2, 2]);
    expect((await floats(seen[0]!.maps[0]!.weights)).length).toBe(64);
    expect(seen[0]!.maps[0]!.layers).toBe(1);
    expect(seen[0]!.spans).toEqual([]);
    await bind(denoiserOf(session), { prompts: [prompt], embeddings: { t5: { ...embedding(6), segments: [{ encoder: 'a', start: 0, length: 2 }, { encoder: 'b', start: 2, length: 4 }] }, clip: embedding(5, 1, 1) } }, { attention: (record) => seen.push(record) })(x, 3);
    expect(seen[1]!.columns.map((c) => [c.encoder, c.offset, c.length])).toEqual([['a', 0, 2], ['b', 2, 4], ['clip', 6, 5], ['clip-image', 11, 4], [undefined, 15, 1]]);
    expect(seen[1]!.spans.map((s) => [prompt.slice(s.start, s.end), s.encoder, s.column])).toEqual([['a', 'a', 0], ['cat', 'a', 1], ['on', 'b', 2], ['grass', 'b', 3], ['a', 'clip', 7], ['cat', 'clip', 8], ['on', 'clip', 9], ['grass', 'clip', 10]]);
    expect(seen[0]!.columns.map((c) => [c.input, c.encoder])).toEqual([['t5', 't5'], ['clip', 'clip'], ['clip_image', 'clip-image'], ['constant', undefined]]);
  });
  it('are refused when the graph was loaded without them', async () => {
    const { session } = fake(sites);
    await expect(bind(denoiserOf(session), { embeddings: {} }, { attention: () => undefined })(x, 3)).rejects.toThrow(CapabilityError);
  });
});
