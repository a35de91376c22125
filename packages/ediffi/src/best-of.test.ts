import { OptionError } from '@ediffi/core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bestOf, clipScores, float32, loadEdiffi, Pipeline, type Best, type GenerateOptions } from './index.js';
import { embeddedFolder } from './testing/embedded.js';
import { fixtureFolder } from './testing/parity.js';

const PROMPT = 'a red car on the beach';
const quick: GenerateOptions = { steps: 6, seed: 20 };

describe('bestOf', () => {
  let ediffi: Pipeline;
  beforeAll(async () => {
    ediffi = await loadEdiffi({ folder: embeddedFolder });
  });
  afterAll(() => ediffi.dispose());

  it('paints a candidate per seed, scores each by CLIP, and finishes the best as generate paints its seed', async () => {
    const painting = bestOf(ediffi, PROMPT, { ...quick, width: 384, height: 256, candidates: 3 });
    const seen: string[] = [];
    const places: string[] = [];
    for await (const { seed, stage, index, count } of painting) {
      if (index === 0 || stage !== 'base') seen.push(`${stage} ${seed}`);
      if (stage !== 'base') places.push(`${index + 1}/${count}`);
    }
    const { picture, candidates } = await painting.finish();
    const winner = candidates[0]!.seed;
    expect(seen).toEqual(['base 20', 'base 21', 'base 22', `sr1 ${winner}`, `sr1 ${winner}`, `sr2 ${winner}`]);
    expect(places).toEqual(['7/9', '8/9', '9/9']);
    const { image, text } = { image: ediffi.parts.imageEncoder!, text: ediffi.parts.encoders['clip']! };
    const scores = await Promise.all([20, 21, 22].map(async (seed) => {
      const { tensor } = await ediffi.generate(PROMPT, { ...quick, seed, width: 48, height: 32, upscale: false });
      return { seed, score: (await clipScores(float32(tensor.data, [1, ...tensor.shape]), [PROMPT], { text, image }))[0]! };
    }));
    expect(candidates).toEqual(scores.sort((a, b) => b.score - a.score));
    expect(new Set(candidates.map(({ score }) => score)).size).toBe(3);
    expect(picture.data).toEqual((await ediffi.generate(PROMPT, { ...quick, width: 384, height: 256, seed: winner })).data);
    expect(picture.metadata.seed).toBe(winner);
  });

  it('takes any score, the first of equals, and shows attention of the one that it finishes', async () => {
    const brightness = ({ data }: { data: ArrayLike<number> }): number => Array.from(data).reduce((sum, v) => sum + v, 0) / data.length;
    const common = { ...quick, upscale: false, candidates: 2 };
    const asked: string[] = [];
    const lightest = await bestOf(ediffi, { t5: PROMPT, clip: 'a car' }, { ...common, score: (picture, prompt) => (asked.push(prompt), brightness(picture)) }).finish();
    const darkest = await bestOf(ediffi, { t5: PROMPT, clip: 'a car' }, { ...common, score: (picture) => Promise.resolve(-brightness(picture)) }).finish();
    expect(asked).toEqual(['a car', 'a car']);
    expect([lightest.picture.metadata.seed, darkest.picture.metadata.seed].sort()).toEqual([20, 21]);
    const equal = await bestOf(ediffi, PROMPT, { ...common, score: () => 0, attention: { maps: true } }).finish();
    expect(equal.picture.metadata.seed).toBe(20);
    expect(equal.picture.attention!.words.map(({ text }) => text)).toContain('car');
    const generated = await ediffi.generate(PROMPT, { ...quick, upscale: false, attention: { maps: true } });
    expect(equal.picture.data).toEqual(generated.data);
    expect(equal.picture.attention).toEqual(generated.attention);
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{ candidates: 0 }, /candidates: .*1/],
    [{ candidates: 2.5 }, /candidates: .*integer/],
    [{ noise: float32([0], [1]) }, /noise: .*the candidates differ by their noise/],
    [{ stepss: 3 }, /stepss/],
    [{ score: () => Number.NaN }, /score: .*finite/],
    [{ seed: Number.MAX_SAFE_INTEGER }, /seed/],
  ])('refuses %j', async (options, message) => {
    const refused = bestOf(ediffi, PROMPT, { steps: 2, upscale: false, ...options }).finish();
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toBeInstanceOf(OptionError);
  });

  it('stops at an abort between candidates', async () => {
    const controller = new AbortController();
    const scored: number[] = [];
    const painting = bestOf(ediffi, PROMPT, { ...quick, upscale: false, signal: controller.signal, score: () => (controller.abort(new Error('enough')), scored.push(1)) });
    await expect(painting.finish()).rejects.toThrow('enough');
    expect(scored).toHaveLength(1);
  });

  it('needs a score where the model has no CLIP image encoder', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ediffi-best-'));
    const pipeline = await Pipeline.open(await fixtureFolder('sd15', folder));
    try {
      await expect(bestOf(pipeline, 'a cat').finish()).rejects.toThrow(/score: expected a function, for a pipeline that has not both CLIP encoders/);
      const { picture, candidates }: Best = await bestOf(pipeline, 'a cat', { steps: 2, seed: 3, candidates: 2, score: (_, prompt) => prompt.length }).finish();
      expect([picture.metadata.seed, ...candidates.map(({ seed }) => seed)]).toEqual([3, 3, 4]);
    } finally {
      await pipeline.dispose();
      rmSync(folder, { recursive: true });
    }
  });
});
