import { float32, ModelError, OptionError, ShapeError, type HostTensor, type PromptEncoder, type Session } from '@ediffi/core';
import type { ImageEncoder } from '@ediffi/encoders';
import type { CardEvaluation } from '@ediffi/model';
import { describe, expect, it } from 'vitest';
import type { Pipeline } from '../pipeline.js';
import { clipScores, cosine, createJudge, evaluateModel, evaluationSet, featuresOf, judged, ranked, sampleCaptions, type EvaluationSet } from './index.js';

/* A world of two objects: red pictures are apples, blue ones are fish; both together are purple. */
const card: CardEvaluation = { file: 'judge.onnx', size: 2, width: 2, scenes: 'scenes.json', labels: { object: ['apple', 'fish', 'house'], count: ['0', '1', '2'] } };
const filled = (r: number, b: number): HostTensor => float32([r, r, r, r, 0, 0, 0, 0, b, b, b, b], [1, 3, 2, 2]);
const session = (outputs = ['features', 'object', 'count']): Session => ({
  name: 'judge.onnx',
  inputs: [{ name: 'pixel_values', dtype: 'float32', shape: ['batch', 3, 2, 2] }],
  outputs: outputs.map((name) => ({ name, dtype: 'float32', shape: ['batch', null] })),
  run: ({ pixel_values: x }) => {
    const { data } = x as HostTensor;
    const [r, b] = [data[0]!, data[8]!];
    return Promise.resolve({ features: float32([r, b], [1, 2]), object: float32([r, b, 0.1], [1, 3]), count: float32([0, r + b === 2 ? 0 : 1, r + b === 2 ? 1 : 0], [1, 3]) });
  },
  dispose: () => Promise.resolve(),
});
const image: ImageEncoder = { name: 'clip-image', width: 2, size: 2, encode: (pictures) => Promise.resolve({ tokens: pictures, pooled: float32([pictures.data[0]!, pictures.data[8]!], [1, 2]), length: 1, spans: [[]] }), dispose: () => Promise.resolve() };
const text: PromptEncoder = { name: 'clip', width: 2, length: 2, encode: (prompts) => Promise.resolve({ tokens: float32([0], [1]), pooled: float32(prompts.flatMap((p) => [Number(p.includes('apple')), Number(p.includes('fish'))]), [prompts.length, 2]), length: 1, spans: [] }), dispose: () => Promise.resolve() };

const scenes = [
  { caption: 'an apple', asked: { object: ['apple'], count: '1' }, heldOut: false },
  { caption: 'a fish', asked: { object: ['fish'], count: '1' }, heldOut: true },
  { caption: 'an apple and a fish', asked: { object: ['apple', 'fish'], count: '2' }, heldOut: false },
  { caption: 'a fish under water', asked: { object: ['fish'], count: '1' }, heldOut: false },
];
const real = { width: 2, data: [1, 0, 0, 1, 1, 1, 0, 1] };
const again = { width: 2, data: [0.9, 0, 0, 1.1, 1, 0.9, 0.1, 1] };
const set: EvaluationSet = { scenes, real: { judge: real, 'clip-image': real }, again: { judge: again, 'clip-image': again }, ceiling: { count: 1 } };
/** A pipeline that paints what `see` says of a caption. */
const painter = (see: (caption: string) => HostTensor): Pipeline => ({ parts: { encoders: { clip: text }, imageEncoder: image }, generate: (caption: string) => Promise.resolve({ tensor: see(caption) }) }) as unknown as Pipeline;
const honest = (caption: string): HostTensor => filled(Number(caption.includes('apple')), Number(caption.includes('fish')));

async function finish<T>(run: AsyncGenerator<unknown, T, void>): Promise<{ yields: number; value: T }> {
  for (let yields = 0; ; yields++) {
    const step = await run.next();
    if (step.done) return { yields, value: step.value };
  }
}

describe('the judge', () => {
  it('ranks answers, and says whether what was asked for is there', async () => {
    const judge = createJudge(session(), card);
    const verdicts = await judge.look(filled(1, 1));
    expect(ranked(judge, verdicts, 'count')).toEqual(['2', '0', '1']);
    expect(judged(judge, verdicts, { object: ['fish', 'apple'], count: '1' })).toEqual({ object: true, count: false });
    expect(judged(judge, await judge.look(filled(1, 0)), { object: ['fish', 'apple'] })).toEqual({ object: false });
    await expect(judge.look(float32([1], [1]))).rejects.toThrow(ShapeError);
    expect(() => createJudge(session(['features', 'object']), card)).toThrow(/no output count/);
  });
});

describe('clipScores', () => {
  it('is the cosine of caption and picture', async () => {
    expect(await clipScores(filled(1, 0), ['an apple'], { text, image })).toEqual([1]);
    expect((await clipScores(filled(1, 1), ['an apple'], { text, image }))[0]).toBeCloseTo(Math.SQRT1_2, 6);
    expect(await clipScores(filled(1, 0), ['a house'], { text, image })).toEqual([0]);
    expect(cosine([3, 4], [4, 3])).toBeCloseTo(0.96, 12);
    await expect(clipScores(filled(1, 0), ['a', 'b'], { text, image })).rejects.toThrow(ShapeError);
    await expect(clipScores(filled(1, 0), ['a'], { text: { ...text, encode: () => Promise.resolve({ tokens: float32([0], [1]), length: 1, spans: [] }) }, image })).rejects.toThrow(OptionError);
  });
});

describe('sampleCaptions', () => {
  it('draws without putting back, the same for the same seed, every item as often', () => {
    const items = ['a', 'b', 'c', 'd', 'e'];
    expect([...sampleCaptions(items, 5, 1)].sort()).toEqual(items);
    expect(sampleCaptions(items, 3, 4)).toEqual(sampleCaptions(items, 3, 4));
    const firsts = Array.from({ length: 1000 }, (_, seed) => sampleCaptions(items, 1, seed)[0]);
    for (const item of items) expect(firsts.filter((first) => first === item).length).toBeGreaterThan(140);
    expect(() => sampleCaptions(items, 6, 0)).toThrow(OptionError);
  });
});

describe('evaluateModel', () => {
  it('of a model that paints what it is told finds everything right, and distance 0 to the real pictures', async () => {
    const { yields, value } = await finish(evaluateModel(painter(honest), createJudge(session(), card), set, { count: 4 }));
    expect(yields).toBe(4);
    expect(Object.keys(value.shown).sort()).toEqual(['count', 'object of a held-out pair', 'object of one', 'object of one, held-out pair', 'object of two']);
    for (const { share } of Object.values(value.shown)) expect(share).toEqual({ value: 1, low: 1, high: 1 });
    expect(value.shown['object of one']!.asked).toBe(3);
    expect(value.features.judge.frechet.value).toBeLessThan(1e-9);
    expect(value.features.judge.frechetOfReal).toBeGreaterThan(1e-3);
    expect(value.clipScore.value).toBeCloseTo(1, 6);
  });

  it('of a model that paints apples only finds the fish missing, and a distance', async () => {
    const { value } = await finish(evaluateModel(painter(() => filled(1, 0)), createJudge(session(), card), set, { count: 4 }));
    expect(value.shown['object of one']!.share.value).toBeCloseTo(1 / 3, 9);
    expect(value.shown['object of two']!.share.value).toBe(0);
    expect(value.features.judge.frechet.value).toBeGreaterThan(0.5);
    expect(value.features.judge.kid).toBeGreaterThan(value.features.judge.kidOfReal);
  });

  it('asks of several alike apart: both the object and how many', async () => {
    const several = { ...set, scenes: [...scenes.slice(0, 3), { caption: 'two fish', asked: { object: ['fish'], count: '2' }, heldOut: false }] };
    const { value } = await finish(evaluateModel(painter(honest), createJudge(session(), card), several, { count: 4 })); // the painter paints one
    expect(value.shown['object of several']).toMatchObject({ asked: 1, share: { value: 1 } });
    expect(value.shown['count of several']).toMatchObject({ asked: 1, share: { value: 0 } });
    expect(value.shown['count']).toMatchObject({ asked: 4, share: { value: 0.75 } });
    expect(value.shown['object of one']!.asked).toBe(2);
  });

  it('takes one object as a text or as a list of one', async () => {
    const typed = { ...set, scenes: scenes.map((scene) => ({ ...scene, asked: { ...scene.asked, object: scene.asked.object.length === 1 ? scene.asked.object[0]! : scene.asked.object } })) };
    const run = async (of: EvaluationSet): Promise<unknown> => (await finish(evaluateModel(painter(honest), createJudge(session(), card), of, { count: 4 }))).value;
    expect(typed.scenes[1]!.asked.object).toBe('fish');
    expect(await run(typed)).toEqual(await run(set));
  });

  it.each([1, 5, 2.5])('refuses %d of four captions before it paints', async (count) => {
    let painted = 0;
    const run = evaluateModel(painter((caption) => (painted++, honest(caption))), createJudge(session(), card), set, { count });
    await expect(finish(run)).rejects.toMatchObject({ code: 'OptionError', message: expect.stringContaining('count') });
    expect(painted).toBe(0);
  });

  it('stops at abort, and refuses models without CLIP', async () => {
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(finish(evaluateModel(painter(honest), createJudge(session(), card), set, { count: 4, signal: aborted }))).rejects.toThrow('enough');
    await expect(finish(evaluateModel({ parts: { encoders: {} } } as unknown as Pipeline, createJudge(session(), card), set))).rejects.toThrow(ModelError);
  });
});

describe('evaluation sets and features', () => {
  const pack = (data: number[]): { width: number; base64: string } => ({ width: 2, base64: Buffer.from(Float32Array.from(data).buffer).toString('base64') });
  const model = (file: object): Parameters<typeof evaluationSet>[0] => ({ evaluation: () => Promise.resolve(file) }) as unknown as Parameters<typeof evaluationSet>[0];

  it('unpacks rows, and refuses a file with too few', async () => {
    const both = (data: number[]): object => ({ judge: pack(data), 'clip-image': pack(data) });
    const read = await evaluationSet(model({ scenes: scenes.slice(0, 2), real: both([1, 2, 3, 4]), again: both([5, 6, 7, 8]), ceiling: {} }));
    expect([...Array.from(read.again.judge.data), read.real['clip-image'].width]).toEqual([5, 6, 7, 8, 2]);
    await expect(evaluationSet(model({ scenes, real: both([1, 2]), again: both([1, 2]), ceiling: {} }))).rejects.toThrow(/damaged/);
  });

  it('takes pictures of any size', async () => {
    const large = float32(new Float32Array(48).fill(1), [1, 3, 4, 4]);
    expect(await featuresOf([large, filled(0, 1)], createJudge(session(), card), image)).toMatchObject({ judge: { width: 2, data: [1, 1, 0, 1] } });
  });
});
