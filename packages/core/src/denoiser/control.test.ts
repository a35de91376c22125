import { describe, expect, it } from 'vitest';
import { CapabilityError, controlNetwork, controlResiduals, float32, floats, joinConditioning, keptConditioning, keptRows, ModelError, sessionNetwork, ShapeError, spreadRows, zeros, type Conditioning, type Control, type ControlNetwork, type Session, type Tensor } from '../index.js';

const inputs = [{ name: 'down_0', channels: 1, stride: 1 }, { name: 'down_1', channels: 2, stride: 2 }, { name: 'mid', channels: 1, stride: 2 }];
const x = zeros([2, 4, 2, 2]);
/** Answers with its own number everywhere, and counts. */
const network = (value: number, calls: number[] = [], channels = 2): ControlNetwork => ({
  answer: async (y) => (calls.push(y.shape[0]!), [[1, 2], [channels, 1], [1, 1]].map(([c = 1, size = 1]) => float32(new Float32Array(y.shape[0]! * c * size * size).fill(value), [y.shape[0]!, c, size, size]))),
  dispose: async () => undefined,
});
const lazily = (made: ControlNetwork): { value(): Promise<ControlNetwork>; dispose(): Promise<void> } => ({ value: async () => made, dispose: () => made.dispose() });
const control = (name: string, scale: number, more: Partial<Control> = {}): Control => ({ network: name, image: zeros([1, 3, 16, 16]), scale: () => scale, ...more });
const firsts = async (feeds: Readonly<Record<string, Tensor>>): Promise<number[][]> => Promise.all(inputs.map(async ({ name }) => [...(await floats(feeds[name]!))]));

describe('controlResiduals', () => {
  it('sums networks times their scales, calls none at 0, and feeds zeros without control', async () => {
    const [a, b]: number[][] = [[], []];
    const live = controlResiduals(inputs, { a: lazily(network(1, a)), b: lazily(network(10, b)) });
    const told = (controls?: readonly Control[]): Conditioning => ({ embeddings: {}, ...(controls && { controls }) });
    expect((await firsts(await live.residuals(x, 1, 5, told([control('a', 0.5), control('b', 2)])))).map((v) => v[0])).toEqual([20.5, 20.5, 20.5]);
    expect((await firsts(await live.residuals(x, 1, 5, told([control('a', 0.5), control('b', 0)])))).map((v) => v[0])).toEqual([0.5, 0.5, 0.5]);
    const none = await live.residuals(x, 1, 5, told());
    expect(inputs.map(({ name }) => none[name]!.shape)).toEqual([[2, 1, 2, 2], [2, 2, 1, 1], [2, 1, 1, 1]]);
    expect((await firsts(none)).flat().every((v) => v === 0)).toBe(true);
    expect([a!.length, b!.length]).toEqual([2, 1]);
  });

  it('grades from a tenth to one, and leaves out the rows that a control is not for', async () => {
    const calls: number[] = [];
    const live = controlResiduals(inputs, { a: lazily(network(1, calls)) });
    const graded = await firsts(await live.residuals(x, 1, 5, { embeddings: {}, controls: [control('a', 2, { graded: true })] }));
    [0.2, 2 * 10 ** -0.5, 2].forEach((v, i) => expect(graded[i]![0]).toBeCloseTo(v, 6));
    const joined = await joinConditioning({ embeddings: {}, controls: [control('a', 3)] }, { embeddings: {} });
    expect(joined.controls![0]!.rows).toEqual([true, false]);
    expect(await firsts(await live.residuals(x, 1, 5, joined))).toEqual([[3, 3, 3, 3, 0, 0, 0, 0], [3, 3, 0, 0], [3, 0]]);
    expect(calls).toEqual([2, 1]); // the negative row is not shown to the network
    const shared = control('a', 3);
    expect((await joinConditioning({ embeddings: {}, controls: [shared] }, { embeddings: {}, controls: [shared] })).controls).toMatchObject([{ rows: [true, true] }]);
  });

  it('shows the rows of each conditioning that a control is given with', async () => {
    const seen: number[] = [];
    const watching: ControlNetwork = { ...network(1), answer: async (y, noise, condition, image, call) => (seen.push((await floats(condition.embeddings['text']!.tokens))[0]!), network(1).answer(y, noise, condition, image, call)) };
    const live = controlResiduals(inputs, { a: lazily(watching) });
    const shared = control('a', 1, { rows: [true, false] });
    const told = (token: number): Conditioning => ({ embeddings: { text: { tokens: float32([token, -1], [2, 1, 1]), length: 1, spans: [[], []] } }, controls: [shared] });
    const [first, second] = [told(1), told(2)];
    for (const condition of [first, second, first]) await live.residuals(x, 1, 5, condition);
    expect(seen).toEqual([1, 2, 1]);
  });

  it('refuses networks that are not there, or of another model', async () => {
    const live = controlResiduals(inputs, { a: lazily(network(1, [], 3)) });
    await expect(live.residuals(x, 1, 5, { embeddings: {}, controls: [control('b', 1)] })).rejects.toThrow(CapabilityError);
    await expect(live.residuals(x, 1, 5, { embeddings: {}, controls: [control('a', 1)] })).rejects.toThrow(ShapeError);
  });
});

describe('rows', () => {
  it('are taken and put back; one row serves all', async () => {
    const tensor = float32([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]);
    const kept = await keptRows(tensor, [false, true]);
    expect([kept.shape, ...(await floats(kept))]).toEqual([[2, 2], 5, 6, 7, 8]);
    expect([...(await floats(await spreadRows(kept, [false, true], 4)))]).toEqual([0, 0, 0, 0, 5, 6, 7, 8]);
    const one = float32([9], [1, 1]);
    expect(await keptRows(one, [true, false])).toBe(one);
    const half = await keptConditioning({ prompts: ['a', 'b'], embeddings: { text: { tokens: float32([1, 2], [2, 1, 1]), pooled: float32([3, 4], [2, 1]), length: 1, spans: [[], []] } }, inputs: { size: float32([5, 6], [2, 1]), mode: one } }, [true, false]);
    expect([[...(await floats(half.embeddings['text']!.tokens))], [...(await floats(half.embeddings['text']!.pooled!))], [...(await floats(half.inputs!['size']!))], half.inputs!['mode']]).toEqual([[1], [3], [5], one]);
  });
});

describe('controlNetwork', () => {
  const names = { sample: 'sample', noise: 't', image: 'hint', scale: 'scale', embeddings: { text: { tokens: 'text' } }, residuals: ['d', 'm'] };
  const session = (fed: Record<string, Tensor>[]): Session => ({
    name: 'net',
    inputs: [{ name: 'sample', dtype: 'float32', shape: ['b', 4, 'h', 'w'] }, { name: 't', dtype: 'int64', shape: [1] }, { name: 'text', dtype: 'float32', shape: ['b', 'n', 2] }, { name: 'hint', dtype: 'float16', shape: ['b', 3, 'H', 'W'] }, { name: 'scale', dtype: 'float32', shape: [1] }],
    outputs: [{ name: 'd', dtype: 'float32', shape: [] }, { name: 'm', dtype: 'float32', shape: [] }],
    run: async (feeds) => (fed.push({ ...feeds }), { d: float32([1], [1]), m: float32([2], [1]) }),
    dispose: async () => undefined,
  });

  it('feeds picture, time, text and the control picture of each row, its own scale 1, no further channels', async () => {
    const fed: Record<string, Tensor>[] = [];
    const text = { tokens: float32([1, 2], [1, 1, 2]), length: 1, spans: [[]] };
    const answer = await controlNetwork(session(fed), names).answer(x, 7.9, { embeddings: { text }, channels: zeros([1, 5, 2, 2]) }, zeros([1, 3, 16, 16]));
    expect(await Promise.all(answer.map(async (tensor) => [...(await floats(tensor))]))).toEqual([[1], [2]]);
    const { sample, t, hint, scale } = fed[0]!;
    expect([sample!.shape, t!.shape, t!.dtype, hint!.shape, hint!.dtype, scale!.shape]).toEqual([[2, 4, 2, 2], [1], 'int64', [2, 3, 16, 16], 'float16', [1]]);
    expect([...(await floats(scale!))]).toEqual([1]);
    expect(() => controlNetwork(session([]), { ...names, residuals: ['d', 'x'] })).toThrow(ModelError);
    expect(() => controlNetwork(session([]), { ...names, sample: 'latents' })).toThrow(/no input latents/);
  });

  it('reaches the network that takes its residuals, and ends with it', async () => {
    const fed: Record<string, Tensor>[] = [];
    let ended = 0;
    const unet: Session = { ...session(fed), run: async (feeds) => (fed.push({ ...feeds }), { d: float32(new Float32Array(32), [2, 4, 2, 2]), m: float32([2], [1]) }) };
    const main = sessionNetwork({ ...unet, inputs: unet.inputs.filter(({ name }) => name !== 'hint' && name !== 'scale') }, { ...names, output: 'd' }, { live: { residuals: async (y) => ({ mid: float32([y.shape[0]!], [1]) }), dispose: async () => void ended++ } });
    await main(x, 3, 2, { embeddings: {}, constants: {} });
    expect([...(await floats(fed[0]!['mid']!))]).toEqual([2]);
    await main.dispose?.();
    expect(ended).toBe(1);
  });
});
