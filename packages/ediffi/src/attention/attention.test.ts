import { float32, hostTensor, PhraseError, type AttentionRecord, type HostTensor } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { decodePng } from '../index.js';
import { HeatMap } from './heat-map.js';
import { AttentionWatch } from './watch.js';
import { wordsOf } from './words.js';

const prompt = 'a red cat';
/** t5 reads a|re|d|cat in columns 0–3 of 5, clip reads a|red|cat in columns 1–3 of 4, which are keys 6–8. */
const spans: AttentionRecord['spans'] = [
  ...[[0, 1, 0], [2, 4, 1], [4, 5, 2], [6, 9, 3]].map(([start, end, column]) => ({ start: start!, end: end!, column: column!, encoder: 't5' })),
  ...[[0, 1, 6], [2, 5, 7], [6, 9, 8]].map(([start, end, column]) => ({ start: start!, end: end!, column: column!, encoder: 'clip' })),
];
const columns: AttentionRecord['columns'] = [
  { input: 't5_tokens', encoder: 't5', offset: 0, length: 5 }, { input: 'clip_tokens', encoder: 'clip', offset: 5, length: 4 }, { input: 'image', encoder: 'clip-image', offset: 9, length: 1 }, { input: 'constant', offset: 10, length: 1 },
];
const KEYS = 11;
const place = { index: 0, sigma: 2, expert: 'high' };

/** Maps whose row for a place is given by `at(batch row, place)`: column → weight. */
function record(height: number, width: number, rows: number, at: (row: number, place: number) => Readonly<Record<number, number>>, stride = 1, layers = 1): AttentionRecord['maps'][number] & { disposed: () => number } {
  const data = new Float32Array(rows * height * width * KEYS);
  for (let r = 0; r < rows; r++) for (let p = 0; p < height * width; p++) for (const [column, value] of Object.entries(at(r, p))) data[(r * height * width + p) * KEYS + Number(column)] = value;
  let disposals = 0;
  const weights: HostTensor = Object.assign(float32(data, [rows, height * width, KEYS]), { dispose: () => void disposals++ });
  return { stride, layers, height, width, weights, disposed: () => disposals };
}

describe('words', () => {
  it('are those of the prompt as typed', () => {
    expect(wordsOf("a cat's 3-legged stool, “été” 猫!").map((word) => word.text)).toEqual(['a', "cat's", '3-legged', 'stool', 'été', '猫']);
    expect(wordsOf(' a  b').map(({ start, end }) => [start, end])).toEqual([[1, 2], [4, 5]]);
    expect(wordsOf('…')).toEqual([]);
  });
});

describe('AttentionWatch', () => {
  it('gives each word its tokens’ columns in every encoder, and shares that sum to 1', async () => {
    const watch = new AttentionWatch({ maps: true }, prompt, 1);
    // Place 0 looks at "red" in both encoders, place 1 at clip's start token and the null token.
    const map = record(1, 2, 2, (row, p) => (row === 1 ? { 9: 1 } : p === 0 ? { 1: 0.25, 2: 0.25, 7: 0.5 } : { 5: 0.25, 10: 0.75 }));
    watch.listen({ sigma: 2, maps: [map], columns, spans });
    const [step] = (await watch.step(place))!;
    expect(step!.maps.map((m) => [m.text, ...m.values])).toEqual([['a', 0, 0], ['red', 1, 0], ['cat', 0, 0]]);
    expect(step!.shares).toEqual({ t5: 0.25, clip: 0.375, 'clip-image': 0, null: 0.375 }); // the negative row is not looked at
    expect(step!.words).toBeCloseTo(0.5, 6);
    expect(map.disposed()).toBe(1);
  });

  it('is the mean over layers, network calls and steps, on the finest grid', async () => {
    const watch = new AttentionWatch({ maps: 'steps' }, prompt, 1);
    const fine = record(2, 2, 1, (_, p) => ({ 3: p === 0 ? 1 : 0 }), 1, 3);
    const coarse = record(1, 1, 1, () => ({ 3: 0.4 }), 2, 1);
    watch.listen({ sigma: 2, maps: [coarse, fine], columns, spans });
    watch.listen({ sigma: 1.5, maps: [record(2, 2, 1, () => ({ 10: 1 }), 1, 3), record(1, 1, 1, () => ({ 10: 1 }), 2, 1)], columns, spans });
    const [step] = (await watch.step(place))!;
    const cat = [(0.75 * 1 + 0.25 * 0.4) / 2, 0.05, 0.05, 0.05];
    step!.maps[2]!.values.forEach((v, i) => expect(v).toBeCloseTo(cat[i]!, 6));
    watch.listen({ sigma: 1, maps: [record(2, 2, 1, () => ({ 10: 1 }))], columns, spans });
    await watch.step({ ...place, index: 1, sigma: 1 });
    const result = watch.result(0);
    result.words[2]!.values.forEach((v, i) => expect(v).toBeCloseTo(cat[i]! / 2, 6));
    expect(result.steps.map((s) => [s.index, s.maps.length])).toEqual([[0, 3], [1, 3]]);
    expect([...result.of('red cat').values]).toEqual([...result.words[2]!.values]);
  });

  it('keeps to its window, encoders and pictures, and what was not asked for is not kept', async () => {
    const watch = new AttentionWatch({ maps: true, encoders: ['clip'], window: { from: 1, to: 3 } }, prompt, 2);
    const looking = (): ReturnType<typeof record> => record(1, 1, 4, (row) => (row === 0 ? { 3: 1 } : { 8: 0.5, 10: 0.5 }));
    watch.listen({ sigma: 2, maps: [looking()], columns, spans });
    const steps = (await watch.step(place))!;
    expect(steps.map((step) => [...step.maps[2]!.values])).toEqual([[0], [0.5]]);
    expect(steps.map((step) => step.shares['t5'])).toEqual([1, 0]);
    const outside = looking();
    watch.listen({ sigma: 1, maps: [outside], columns, spans });
    expect(await watch.step({ ...place, index: 1 })).toBeUndefined();
    expect(outside.disposed()).toBe(1);
    expect(watch.result(1).steps).toMatchObject([{ index: 0, maps: [] }]);
    const shares = new AttentionWatch({}, prompt, 1);
    shares.listen({ sigma: 2, maps: [looking()], columns, spans });
    expect((await shares.step(place))![0]!.maps).toEqual([]);
    expect(() => shares.result(0).of('cat')).toThrow(/maps: true/);
  });

  it('has no map of what no watched encoder reads: the syntax of weights, a text that is cut off', async () => {
    // "(red:1.3) car BREAK dog": t5 reads red|car, clip reads red|car|dog.
    const weighted: AttentionRecord['spans'] = [[1, 4, 0, 't5'], [10, 13, 1, 't5'], [1, 4, 6, 'clip'], [10, 13, 7, 'clip'], [20, 23, 8, 'clip']].map(([start, end, column, encoder]) => ({ start, end, column, encoder }) as AttentionRecord['spans'][number]);
    const look = async (encoders: readonly string[]): Promise<ReturnType<AttentionWatch['result']>> => {
      const watch = new AttentionWatch({ maps: 'steps', encoders }, '(red:1.3) car BREAK dog', 1);
      watch.listen({ sigma: 2, maps: [record(1, 1, 1, () => ({ 0: 0.5, 7: 0.25, 8: 0.25 }))], columns, spans: weighted });
      await watch.step(place);
      return watch.result(0);
    };
    const both = await look(['t5', 'clip']);
    for (const maps of [both.words, both.steps[0]!.maps]) expect(maps.map((map) => [map.text, map.start, ...map.values])).toEqual([['red', 1, 0.5], ['car', 10, 0.25], ['dog', 20, 0.25]]);
    expect(both.of('(red:1.3) car').values[0]).toBe(0.75);
    const t5 = await look(['t5']);
    expect(t5.words.map(({ text }) => text)).toEqual(['red', 'car']);
    expect(() => t5.of('dog')).toThrow(PhraseError);
    expect(() => t5.of('dog')).toThrow(/"dog" holds no word .* that a watched encoder reads — there are maps of red, car/);
  });

  it('counts what a joint sequence spends on the picture itself, and lengths known only at run time', async () => {
    const watch = new AttentionWatch({ maps: true }, prompt, 1);
    watch.listen({ sigma: 2, maps: [record(1, 1, 1, () => ({ 3: 0.25 }))], columns: [{ input: 'states', encoder: 't5', offset: 0, length: 0 }], spans });
    expect((await watch.step(place))![0]!.shares).toEqual({ t5: 0.25, picture: 0.75 });
  });

  it('refuses an expert that shows nothing, and maps that are no plane', async () => {
    await expect(new AttentionWatch({}, prompt, 1).step(place)).rejects.toMatchObject({ code: 'CapabilityError', message: expect.stringContaining("'high'") });
    const watch = new AttentionWatch({}, prompt, 1);
    const odd = record(1, 2, 1, () => ({ 3: 1 }));
    watch.listen({ sigma: 2, maps: [{ ...odd, height: 2 }], columns, spans });
    await expect(watch.step(place)).rejects.toThrow(/2 places are not 2 rows of 2/);
    expect(odd.disposed()).toBe(1);
  });

  it('sums PyTorch’s own maps', async () => {
    const file = fileURLToPath(new URL('../../../model/golden/base-middle.json', import.meta.url));
    const { painted } = JSON.parse(readFileSync(file, 'utf8')) as { painted: { max: { outputs: Record<string, { shape: number[]; base64: string }> } } };
    const maps = [2, 4].map((stride) => {
      const { shape, base64 } = painted.max.outputs[`attention_s${stride}`]!;
      const data = new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
      return { stride, layers: 2, height: 32 / stride, width: 32 / stride, weights: hostTensor(data, shape, 'float32') };
    });
    const tiny: AttentionRecord['columns'] = [{ input: 't5', encoder: 't5', offset: 0, length: 32 }, { input: 'clip', encoder: 'clip', offset: 32, length: 24 }, { input: 'clip_image', encoder: 'clip-image', offset: 56, length: 4 }, { input: 'constant', offset: 60, length: 1 }];
    const watch = new AttentionWatch({ maps: true }, prompt, 1);
    watch.listen({ sigma: 2, maps, columns: tiny, spans: spans.map((span) => ({ ...span, column: span.encoder === 'clip' ? span.column + 27 : span.column })) });
    const [step] = (await watch.step(place))!;
    expect(Object.values(step!.shares).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    const of = (map: (typeof maps)[number], key: number): number => map.weights.data.reduce((sum, v, i) => (i < 61 * map.height * map.width && i % 61 === key ? sum + v : sum), 0) / (map.height * map.width);
    expect(step!.shares['null']).toBeCloseTo((of(maps[0]!, 60) + of(maps[1]!, 60)) / 2, 6);
    expect(step!.maps[2]!.share).toBeCloseTo(maps.reduce((sum, map) => sum + of(map, 3) + of(map, 35), 0) / 2, 5);
    expect([step!.maps[2]!.height, step!.maps[2]!.width]).toEqual([16, 16]);
  });
});

describe('HeatMap', () => {
  const map = new HeatMap({ text: 'cat', start: 0, end: 3 }, Float32Array.of(0.1, 0.2, 0.3, 0.5), 2, 2);

  it('becomes a mask, hard or soft', () => {
    expect([...map.toMask().data]).toEqual([0, 0, 1, 1]);
    expect([...map.toMask({ threshold: 0.9 }).data]).toEqual([0, 0, 0, 1]);
    expect([...map.toMask({ soft: true }).data].map((v) => Number(v.toFixed(3)))).toEqual([0, 0.25, 0.5, 1]);
    expect([...map.toMask({ soft: true, threshold: 0.5 }).data].map((v) => Number(v.toFixed(3)))).toEqual([0, 0, 0, 1]);
    expect(map.toMask().shape).toEqual([2, 2]);
    expect([...new HeatMap(map, new Float32Array(4).fill(0.2), 2, 2).toMask({ threshold: 0 }).data]).toEqual([0, 0, 0, 0]);
    expect(() => map.toMask({ threshold: 2 })).toThrow(/threshold/);
  });

  it('lies over the picture, as large as it, and hides more where it is hot', () => {
    const white = { width: 4, height: 4, data: new Uint8Array(48).fill(255) };
    const { width, height, data } = decodePng(map.over(white).toPng());
    expect([width, height]).toEqual([4, 4]);
    expect(data[0]!).toBeLessThan(255);
    expect(decodePng(map.toPng()).width).toBe(2);
    expect([...decodePng(map.toPng({ picture: white, opacity: 0 })).data]).toEqual(new Array(64).fill(255));
    const blue = (x: number, y: number): number => decodePng(map.toPng({ picture: { width: 2, height: 2, data: new Uint8Array(12) } })).data[4 * (2 * y + x)]!;
    expect(blue(1, 1)).toBeGreaterThan(blue(0, 0));
  });
});
