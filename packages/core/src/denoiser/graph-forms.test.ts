import { describe, expect, it } from 'vitest';
import { cast, float32, floats, patches, sessionNetwork, type Session, type Tensor, type ValueInfo } from '../index.js';

const names = { sample: 'sample', noise: 'timestep', output: 'out', embeddings: { text: { tokens: 'text' } } };
const text = { tokens: float32([1, 2, 3, 4], [1, 2, 2]), length: 2, spans: [[]] };

/** A session that keeps its feeds and answers with `answer` of them. */
function fake(inputs: readonly ValueInfo[], answer: (feeds: Readonly<Record<string, Tensor>>) => Promise<Tensor>): { session: Session; feeds: Record<string, Tensor>[] } {
  const feeds: Record<string, Tensor>[] = [];
  const run: Session['run'] = async (given) => (feeds.push({ ...given }), { out: await answer(given) });
  return { session: { name: 'fake', inputs, outputs: [], run, dispose: () => Promise.resolve() }, feeds };
}
const inputs = (sample: ValueInfo['dtype'], timestep: ValueInfo): ValueInfo[] => [{ name: 'sample', dtype: sample, shape: ['b', 'c', 'h', 'w'] }, timestep, { name: 'text', dtype: sample, shape: ['b', 'n', 2] }];

describe('sessionNetwork on graphs as they are exported', () => {
  it('feeds half precision and integer times, scalar or per row; answers float32', async () => {
    const half = fake(inputs('float16', { name: 'timestep', dtype: 'int64', shape: [] }), async (given) => given['sample']!);
    const x = float32([0.5, -2, 65504, 1e-8], [1, 1, 2, 2]);
    const answer = await sessionNetwork(half.session, names)(x, 999.7, 3, { embeddings: { text } });
    expect([answer.dtype, ...(await floats(answer))]).toEqual(['float32', 0.5, -2, 65504, 0]);
    const { sample, timestep, text: tokens } = half.feeds[0]!;
    expect([sample!.dtype, timestep!.dtype, timestep!.shape, tokens!.dtype]).toEqual(['float16', 'int64', [], 'float16']);
    expect([...(await timestep!.toHost()).data as unknown as BigInt64Array]).toEqual([999n]);
    expect([...(await floats(await cast(tokens!, 'float32')))]).toEqual([1, 2, 3, 4]);

    const rows = fake(inputs('float32', { name: 'timestep', dtype: 'float32', shape: ['b'] }), async (given) => given['sample']!);
    await sessionNetwork(rows.session, names, { noiseUnit: 1000 })(float32([1, 2], [2, 1, 1, 1]), 500, 1, { embeddings: { text } });
    expect([...(await floats(rows.feeds[0]!['timestep']!))]).toEqual([0.5, 0.5]);
  });

  it('puts further channels beside the picture and gives a learned variance to who asks', async () => {
    const { session, feeds } = fake(inputs('float32', { name: 'timestep', dtype: 'float32', shape: ['b'] }), async () => float32([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 1, 2]));
    const rest: number[] = [];
    const channels = float32([9, 9], [1, 1, 1, 2]);
    const answer = await sessionNetwork(session, names)(float32([1, 2, 3, 4], [2, 1, 1, 2]), 1, 1, { embeddings: { text }, channels }, { variance: (v) => void rest.push(...(v as ReturnType<typeof float32>).data) });
    expect([...(await floats(feeds[0]!['sample']!))]).toEqual([1, 2, 9, 9, 3, 4, 9, 9]);
    expect([...(await floats(answer))]).toEqual([1, 2, 5, 6]);
    expect(rest).toEqual([3, 4, 7, 8]);
  });

  it('packs pictures into tokens of 2 × 2 and back, channel by channel', async () => {
    const x = float32(Float32Array.from({ length: 2 * 2 * 4 }, (_, i) => i), [1, 2, 2, 4]);
    const packed = await patches(2).pack(x);
    expect([packed.shape, ...(await floats(packed))]).toEqual([[1, 2, 8], 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]);
    expect([...(await floats(await patches(2).unpack(packed, x.shape)))]).toEqual([...x.data]);
    await expect(patches(2).pack(float32([1, 2, 3], [1, 1, 1, 3]))).rejects.toThrow(/multiples of 2/);
  });
});
