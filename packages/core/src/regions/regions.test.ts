import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { canvasRegions, columnsOf, findPhrase, float32, OptionError, PaintWithWords, PhraseError, regionStrength, resizePlane, resizePlanes, ShapeError, type Region, type ResizeMode, type Rgba, type TokenSpan } from '../index.js';

const { cases } = JSON.parse(readFileSync(new URL('../../golden/functions.json', import.meta.url), 'utf8')) as {
  cases: { id: string; fn: string; args: { mode: string; size: number[]; antialias?: boolean; align_corners?: boolean }; in: { x: { data: number[]; shape: number[] } }; out: Record<string, { data: number[] }> }[];
};
const prompt = 'a red cat and a blue cat on the grass';
const words: TokenSpan[] = [...prompt.matchAll(/\w+/g)].map((m, i) => ({ start: m.index, end: m.index + m[0].length, column: i }));
const full = float32(new Float32Array(16).fill(1), [4, 4]);
const left = float32(Float32Array.from({ length: 16 }, (_, i) => Number(i % 4 < 2)), [4, 4]);

/** A canvas from rows of one-letter colours. */
function canvas(rows: string[], palette: Record<string, number[]>): Rgba {
  return { width: rows[0]!.length, height: rows.length, data: Uint8Array.from(rows.join('').split('').flatMap((c) => palette[c]!)) };
}
const palette = { r: [255, 0, 0, 255], g: [0, 128, 0, 255], R: [240, 20, 10, 255], '.': [255, 255, 255, 255], h: [255, 0, 0, 128], ' ': [255, 0, 0, 0] };

describe('phrases', () => {
  it('are found as whole words, in any case', () => {
    expect(findPhrase(prompt, 'Red Cat')).toEqual([{ start: 2, end: 9 }]);
    expect(findPhrase(prompt, 'cat')).toHaveLength(2);
    expect(() => findPhrase('a catalogue', 'cat')).toThrow(PhraseError);
  });
  it('are told apart by occurrence', () => {
    expect(columnsOf(words, findPhrase(prompt, 'cat', 1))).toEqual([6]);
    expect(() => findPhrase(prompt, 'cat', 2)).toThrow(/occurs 2/);
  });
  it('that are missing name the nearest words', () => {
    try {
      findPhrase(prompt, 'gras');
      expect.unreachable();
    } catch (error) {
      expect(PhraseError.isInstance(error) && error.nearest[0]).toBe('grass');
    }
    expect(() => findPhrase(prompt, '')).toThrow(PhraseError);
  });
  it('keep their places beside letters whose lower case is longer', () => {
    expect(findPhrase('İİ a Cat', 'cat')).toEqual([{ start: 5, end: 8 }]);
    expect(findPhrase('in İzmir', 'İzmir')).toEqual([{ start: 3, end: 8 }]);
  });
  it('of several tokens own all their columns', () => expect(columnsOf(words, findPhrase(prompt, 'blue cat'))).toEqual([5, 6]));
});

describe('strength', () => {
  it('is w′·log(1 + σ), the paper’s', () => {
    const s = regionStrength({ strength: 0.5 });
    for (const [sigma, log] of [[80, 4.39], [9.6, 2.36], [1, 0.69], [0.03, 0.03]] as const) expect(s(sigma) / 0.5).toBeCloseTo(log, 2);
  });
  it('has a σ² rule, functions and windows', () => {
    expect(regionStrength({ strength: 1, rule: 'log-squared' })(3)).toBeCloseTo(Math.log(10));
    expect(regionStrength({ strength: (s) => 2 * s })(3)).toBe(6);
    const windowed = regionStrength({ strength: 1, window: { from: 1, to: 10 } });
    expect([windowed(1), windowed(11), windowed(2) > 0]).toEqual([0, 0, true]);
  });
  it('refuses NaN', () => {
    expect(() => regionStrength({ strength: Number.NaN })).toThrow(OptionError);
    expect(() => regionStrength({ strength: () => Number.NaN })(1)).toThrow(OptionError);
    for (const window of [{ from: Number.NaN }, { from: 2, to: 1 }]) expect(() => regionStrength({ window })).toThrow(OptionError);
  });
});

describe('PaintWithWords', () => {
  it('puts each phrase’s mask into its tokens’ columns', () => {
    const paint = new PaintWithWords([{ phrase: 'red cat', mask: left, weight: 0.5 }, { phrase: 'grass', mask: full }]);
    const a = paint.map(prompt, words, 4, 4, 12);
    const column = (c: number): number[] => Array.from({ length: 4 }, (_, i) => a[i * 12 + c]!);
    expect(column(1)).toEqual([0.5, 0.5, 0, 0]);
    expect(column(2)).toEqual([0.5, 0.5, 0, 0]);
    expect(column(7)).toEqual([0, 0, 0, 0]);
    expect(column(words.find((w) => prompt.slice(w.start, w.end) === 'grass')!.column)).toEqual([1, 1, 1, 1]);
    expect(column(6)).toEqual([0, 0, 0, 0]);
  });
  it('takes negative weights and keeps the stronger of two', () => {
    const paint = new PaintWithWords([{ phrase: 'grass', mask: left, weight: -2 }, { phrase: 'grass', mask: full }]);
    const column = words.at(-1)!.column;
    expect([...paint.map(prompt, words, 4, 4, 10)].filter((_, i) => i % 10 === column).slice(0, 4)).toEqual([-2, -2, 1, 1]);
  });
  it('keeps phrases away from where nothing draws them, if told to', () => {
    const column = words.at(-1)!.column;
    const row = (regions: readonly Region[]): number[] => [...new PaintWithWords(regions, { outside: -0.5 }).map(prompt, words, 4, 4, 10)].filter((_, i) => i % 10 === column).slice(0, 4);
    const right = float32([0, 0, 1, 1], [1, 4]);
    expect(row([{ phrase: 'grass', mask: float32([1, 0.8, 0.25, 0], [1, 4]) }])).toEqual([1, Math.fround(0.8), -0.375, -0.5]);
    expect(row([{ phrase: 'grass', mask: left, weight: 2 }])).toEqual([2, 2, -1, -1]);
    expect(row([{ phrase: 'grass', mask: left }, { phrase: 'grass', mask: right, weight: 0.25 }])).toEqual([1, 1, 0.25, 0.25]); // drawn by two regions
    expect(row([{ phrase: 'grass', mask: left, weight: -1 }])).toEqual([-1, -1, 0, 0]); // a phrase that is kept away is not kept away from everywhere
    expect(() => new PaintWithWords([{ phrase: 'cat', mask: full }], { outside: 0.5 })).toThrow(/paint outside: expected a finite number from -1 to 0/);
  });
  it('refuses empty regions and illegal masks', () => {
    expect(() => new PaintWithWords([])).toThrow(OptionError);
    expect(() => new PaintWithWords([{ phrase: 'cat', mask: float32([], [0, 4]) }])).toThrow(ShapeError);
    expect(() => new PaintWithWords([{ phrase: 'cat', mask: float32([1, 1], [2]) }])).toThrow(ShapeError);
    expect(() => new PaintWithWords([{ phrase: 'cat', mask: float32([2], [1, 1]) }])).toThrow(OptionError);
    expect(() => new PaintWithWords([{ phrase: 'cat', mask: full, weight: Number.NaN }])).toThrow(OptionError);
    expect(() => new PaintWithWords([{ phrase: 'dog', mask: full }]).check(prompt)).toThrow(PhraseError);
  });
});

describe('canvas', () => {
  it('gives each pixel to the nearest colour within the tolerance, alpha scaling it', () => {
    const [cat, grass] = canvasRegions(canvas(['rRg.', 'h g.'], palette), { '#f00': 'red cat', '#008000': 'grass' });
    expect([...cat!.mask.data].map((v) => +v.toFixed(2))).toEqual([1, 1, 0, 0, 0.5, 0, 0, 0]);
    expect([...grass!.mask.data]).toEqual([0, 0, 1, 0, 0, 0, 1, 0]);
  });
  it('merges several colours of one phrase and softens edges', () => {
    const merged = canvasRegions(canvas(['rg..'], palette), { '#ff0000': 'cat', '#008000': 'cat' });
    expect(merged).toHaveLength(1);
    expect([...merged[0]!.mask.data]).toEqual([1, 1, 0, 0]);
    const [soft] = canvasRegions(canvas(['rr..'], palette), { '#ff0000': 'cat' }, { blur: 1 });
    expect(soft!.mask.data[1]).toBeLessThan(1);
    expect(soft!.mask.data[2]).toBeGreaterThan(0);
    expect([...soft!.mask.data].every((v) => v >= 0 && v <= 1)).toBe(true);
  });
  it('keeps every weight of a phrase where it was painted', () => {
    const colors = { '#ff0000': { phrase: 'grass', weight: 1 }, '#008000': { phrase: 'Grass', weight: 0.25 }, '#0000ff': 'grass' };
    const picture = canvas(['rgb.'], { ...palette, b: [0, 0, 255, 255] });
    const paint = PaintWithWords.fromCanvas(picture, colors, { outside: -0.5 });
    expect(paint.regions.map(({ weight = 1, mask }) => [weight, ...mask.data])).toEqual([[1, 1, 0, 1, 0], [0.25, 0, 1, 0, 0]]);
    const column = words.at(-1)!.column;
    expect([...paint.map(prompt, words, 1, 4, 10)].filter((_, i) => i % 10 === column)).toEqual([1, 0.25, 1, -0.5]);
    expect(PaintWithWords.fromLabels([1, 2], 2, 1, { 1: 'cat', 2: { phrase: 'cat', weight: -1 } }).regions.map(({ weight = 1 }) => weight)).toEqual([1, -1]);
  });
  it('tells equal nouns apart', () => {
    const regions = canvasRegions(canvas(['rg'], palette), { '#ff0000': { phrase: 'cat', occurrence: 0 }, '#008000': { phrase: 'cat', occurrence: 1, weight: 2 } });
    expect(regions.map(({ occurrence, weight }) => [occurrence, weight])).toEqual([[0, undefined], [1, 2]]);
  });
  it('refuses colours that are not on it, and no canvas at all', () => {
    expect(() => canvasRegions(canvas(['rg'], palette), { '#0000ff': 'sea' })).toThrow(/unmatched there: #ff0000.*#0000ff/s);
    expect(() => canvasRegions(canvas(['r'], palette), { reddish: 'cat' })).toThrow(OptionError);
    expect(() => canvasRegions(canvas(['r'], palette), {})).toThrow(OptionError);
    expect(() => canvasRegions({ width: 0, height: 3, data: new Uint8Array(0) }, { '#f00': 'cat' })).toThrow(ShapeError);
    expect(() => canvasRegions({ width: 2, height: 3, data: new Uint8Array(5) }, { '#f00': 'cat' })).toThrow(ShapeError);
  });
  it('has label maps too', () => {
    const paint = PaintWithWords.fromLabels([0, 1, 1, 2], 2, 2, { 1: 'cat', 2: 'grass' });
    expect([...paint.regions[0]!.mask.data]).toEqual([0, 1, 1, 0]);
    expect(() => PaintWithWords.fromLabels([0, 1], 2, 1, { 7: 'cat' })).toThrow(OptionError);
  });
});

describe('resize', () => {
  const own = cases.filter((c) => c.fn === 'interpolate');
  for (const mode of ['nearest', 'nearest-exact', 'area', 'bilinear', 'bicubic'] as const) {
    const of = own.filter((c) => c.args.mode === mode);
    it(`equals torch: ${of.length} ${mode} cases`, () => {
      expect(of.length).toBeGreaterThan(1);
      for (const { id, args, in: input, out } of of) {
        const [h, w] = input.x.shape.slice(-2) as [number, number];
        const planes = input.x.data.length / (h * w);
        const got = resizePlanes(Float32Array.from(input.x.data), planes, h, w, args.size[0]!, args.size[1]!, { mode, antialias: args.antialias === true, alignCorners: args.align_corners === true });
        const want = Object.values(out)[0]!.data;
        expect(got.length, id).toBe(want.length);
        const size = want.reduce((m, v) => Math.max(m, Math.abs(v)), 1); // torch sums in float32
        got.forEach((v, i) => expect(Math.abs(v - want[i]!), `${id} [${i}]`).toBeLessThan(2e-6 * size));
      }
    });
  }
  it('picks torch’s pixel where float32 decides: ratios that are no power of two', () => {
    const picks = (from: number, to: number, mode: ResizeMode): number[] => [...resizePlane(Float32Array.from({ length: from }, (_, i) => i), 1, from, 1, to, { mode })];
    // torch 2.15: interpolate(arange(from), size=to)
    expect(picks(50, 30, 'nearest')).toEqual([0, 1, 3, 5, 6, 8, 10, 11, 13, 15, 16, 18, 20, 21, 23, 25, 26, 28, 30, 31, 33, 35, 36, 38, 40, 41, 43, 45, 46, 48]);
    expect(picks(50, 15, 'nearest-exact')).toEqual([1, 5, 8, 11, 15, 18, 21, 25, 28, 31, 35, 38, 41, 45, 48]);
    expect(picks(2, 25, 'nearest-exact')).toEqual([...Array<number>(12).fill(0), ...Array<number>(13).fill(1)]);
    const sum = (mode: ResizeMode): number => picks(640, 768, mode).reduce((a, b) => a + b);
    expect([sum('nearest'), sum('nearest-exact')]).toEqual([245120, 245376]);
  });
  it('takes the area of one’s own pixels, at any ratio', () => {
    const [three, two] = [resizePlane(Float32Array.of(1, 2, 3), 1, 3, 1, 187, { mode: 'area' }), resizePlane(Float32Array.of(1, 2), 1, 2, 1, 98, { mode: 'area' })];
    expect([0, 61, 62, 63, 124, 125, 186].map((i) => three[i])).toEqual([1, 1, 1.5, 2, 2.5, 3, 3]); // torch’s
    expect([47, 48, 49, 50, 97].map((i) => two[i])).toEqual([1, 1, 2, 2, 2]);
    for (let from = 1; from < 60; from++) {
      for (let to = 1; to < 60; to++) {
        // Pixel i of `to` covers the input's [i·from/to, (i + 1)·from/to): all it touches, in whole numbers.
        const area = resizePlane(Float32Array.from({ length: from }, (_, k) => k), 1, from, 1, to, { mode: 'area' });
        area.forEach((v, i) => {
          const first = (i * from - ((i * from) % to)) / to;
          const last = ((i + 1) * from - 1 - (((i + 1) * from - 1) % to)) / to;
          if (Math.abs(v - (first + last) / 2) > 1e-4) expect.fail(`${from} → ${to} [${i}]: ${v}, not the mean of ${first} … ${last}`);
        });
      }
    }
  });
  it('leaves no case out, antialiases unless told otherwise, and refuses unknown modes', () => {
    expect(own.filter((c) => !['nearest', 'nearest-exact', 'area', 'bilinear', 'bicubic'].includes(c.args.mode))).toEqual([]);
    expect(resizePlane(Float32Array.of(0, 0, 1, 1), 1, 4, 1, 2)[0]).toBeGreaterThan(0);
    expect(() => resizePlane(Float32Array.of(1), 1, 1, 2, 2, { mode: 'lanczos' as 'area' })).toThrow(OptionError);
  });
});
