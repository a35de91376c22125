import { ExpertEnsemble, float32, floats, randn, type Conditioning, type Denoiser, type PromptEncoder } from '@ediffi/core';
import type { ImageEncoder } from '@ediffi/encoders';
import { describe, expect, it } from 'vitest';
import { Cascade, grids, Pipeline, solvers, type BaseStage, type PipelineParts, type Upsampler } from './index.js';

/** The exact denoiser of pictures of one colour, Normal(mean, 1) per pixel; notes every call. */
function toy(mean: number, calls: { name: string; sigma: number; batch: number; condition: Conditioning }[] = [], name = 'toy'): Denoiser {
  return {
    sigmaMin: 0.01,
    sigmaMax: 10,
    alpha: () => 1,
    async denoise(x, sigma, condition) {
      calls.push({ name, sigma, batch: x.shape[0]!, condition });
      const keep = 1 / (1 + sigma * sigma);
      return float32((await floats(x)).map((v) => keep * v + (1 - keep) * mean), x.shape);
    },
    dispose: () => Promise.resolve(),
  };
}

const encoder = (name: string): PromptEncoder => ({
  name,
  width: 2,
  length: 3,
  encode: (prompts) => Promise.resolve({ tokens: float32(new Float32Array(prompts.length * 6).fill(1), [prompts.length, 3, 2]), length: 3, spans: prompts.map(() => []), unknown: ['gnu'], truncated: ['the end'] }),
  dispose: () => Promise.resolve(),
});
const imageEncoder: ImageEncoder = { name: 'clip-image', width: 2, size: 4, encode: () => Promise.resolve({ tokens: float32([2, 4], [1, 1, 2]), pooled: float32([2, 4], [1, 2]), length: 1, spans: [[]] }), dispose: () => Promise.resolve() };
const base = (denoiser: Denoiser): BaseStage => ({ name: 'base', denoiser, size: 8, multiple: 4, defaults: { steps: 4, guidance: 2 } });
const partsOf = (denoiser: Denoiser): PipelineParts => ({ encoders: { t5: encoder('t5'), clip: encoder('clip') }, imageEncoder, base: base(denoiser), words: { objects: ['cat', 'cow'] }, versions: { toy: '1' } });

describe('Pipeline', () => {
  it('says when a negative prompt pulls nowhere', async () => {
    const pipeline = new Pipeline(partsOf(toy(0.5)));
    const said = async (options: object): Promise<boolean> => (await pipeline.generate('a cat', { seed: 7, steps: 2, ...options })).warnings.some(({ kind }) => kind === 'idle-negative');
    expect(await Promise.all([{ negative: 'a cow', guidance: 1 }, { negative: 'a cow' }, { guidance: 1 }, { negative: ' ', guidance: 1 }].map(said))).toEqual([true, false, false, false]);
  });
  it('streams steps with σ, expert, place and previews, then the picture with its metadata and warnings', async () => {
    const ensemble = new ExpertEnsemble([{ name: 'high', sigmaMin: 1, sigmaMax: 10, denoiser: toy(0.5) }, { name: 'low', sigmaMin: 0.01, sigmaMax: 1, denoiser: toy(0.5) }]);
    const painting = new Pipeline(partsOf(ensemble)).stream('a gnu', { seed: 7 });
    const seen: string[] = [];
    for await (const { stage, expert, index, count, sigma, sigmaNext, preview } of painting) {
      seen.push(`${stage} ${expert} ${index + 1}/${count}`);
      expect(sigma).toBeGreaterThan(sigmaNext);
      expect(await preview()).toMatchObject({ width: 8, height: 8 });
    }
    expect(seen).toEqual(['base high 1/4', 'base high 2/4', 'base low 3/4', 'base low 4/4']);
    const { metadata, warnings, width } = await painting.finish();
    expect(width).toBe(8);
    expect(metadata).toMatchObject({ prompt: 'a gnu', seed: 7, encoders: ['t5', 'clip'], plan: 'base: high 2, low 2', versions: { ediffi: '0.1.0', toy: '1' } });
    expect(warnings.map((w) => w.message)).toEqual([
      'the model does not know "a" — nearest known: cat, cow',
      'the model does not know "gnu" — nearest known: cat, cow',
      't5 reads 3 tokens; it did not see "the end"',
      'clip reads 3 tokens; it did not see "the end"',
    ]);
  });

  it('counts the steps that a solver inserts, and knows the pictures there are', async () => {
    const painting = new Pipeline(partsOf(toy(0.5))).stream('a cat', { seed: [1, 2], solver: 'restart', steps: 4 });
    const places: number[] = [];
    for await (const { index, count, preview } of painting) {
      places.push(index);
      expect(count).toBe(16);
      if (index > 0) continue;
      expect(await preview(1)).toMatchObject({ width: 8, height: 8 });
      for (const picture of [2, -1, 0.5]) await expect(preview(picture)).rejects.toThrow(/preview: expected an integer from 0 to 1/);
    }
    expect(places).toEqual(Array.from({ length: 16 }, (_, i) => i));
    expect((await painting.finish())[0]!.metadata.stages[0]!.steps).toBe(4);
  });

  it('begins with the noise that it is given, one for all pictures or one for each', async () => {
    const pipeline = new Pipeline(partsOf(toy(0.5)));
    const [both, one] = [await pipeline.generate('a cat', { seed: 1, count: 2, noise: randn([2, 3, 8, 8], 5) }), await pipeline.generate('a cat', { seed: 1, count: 2, noise: randn([1, 3, 8, 8], 5) })];
    expect([...one[0]!.tensor.data]).toEqual([...one[1]!.tensor.data]);
    expect([...both[0]!.tensor.data]).toEqual([...one[0]!.tensor.data]);
    expect([...both[1]!.tensor.data]).not.toEqual([...one[1]!.tensor.data]);
  });

  it('paints the only size that a network was exported for', async () => {
    const parts = partsOf(toy(0.5));
    expect(await new Pipeline({ ...parts, base: { ...parts.base, fixed: [16, 8] } }).generate('a cat')).toMatchObject({ width: 8, height: 16 });
    const latent = { ...parts.base, latents: { channels: 3, factor: 1 }, fixed: [16, 8] as const };
    expect(await new Pipeline({ ...parts, base: latent }).generate('a cat', { image: { width: 32, height: 32, data: new Uint8Array(3 * 32 * 32) } })).toMatchObject({ width: 8, height: 16 });
  });

  it('makes one call of two rows per evaluation with guidance, of one without, and says what it is told', async () => {
    const calls: { name: string; sigma: number; batch: number; condition: Conditioning }[] = [];
    const pipeline = new Pipeline(partsOf(toy(0, calls)));
    await pipeline.generate('a cat', { seed: [1, 2], guidance: (sigma) => (sigma > 1 ? 3 : 1) });
    expect(calls.map((call) => call.batch)).toEqual([4, 4, 2, 2]);
    expect(Object.keys(calls[0]!.condition.embeddings)).toEqual(['t5', 'clip']);
    calls.length = 0;
    await pipeline.generate({ t5: 'a cat' }, { seed: 1, guidance: 1, style: { image: { width: 1, height: 1, data: Uint8Array.of(0, 0, 0) }, strength: 0.5, window: { from: 1 } } });
    const styles = await Promise.all(calls.map(async ({ condition }) => [...((condition.embeddings['clip-image'] && (await floats(condition.embeddings['clip-image'].pooled!))) ?? [])]));
    expect(styles).toEqual([[1, 2], [1, 2], [], []]);
    expect(calls[0]!.condition.embeddings['clip']).toBeUndefined();
  });

  it('gives each seed its own picture, whatever its batch mates', async () => {
    const pipeline = new Pipeline(partsOf(toy(0.2)));
    const batch = await pipeline.generate('a cat', { seed: 5, count: 3, solver: 'eulerAncestral' });
    expect(batch.map((picture) => picture.metadata.seed)).toEqual([5, 6, 7]);
    const alone = await pipeline.generate('a cat', { seed: 6, solver: 'eulerAncestral' });
    expect([...alone.tensor.data]).toEqual([...batch[1]!.tensor.data]);
  });

  it.each(Object.keys(solvers))('solver %s ends in the colour the denoiser knows', async (solver) => {
    const exact: Denoiser = { ...toy(0), denoise: (x) => Promise.resolve(float32(new Float32Array(x.shape.reduce((a, b) => a * b, 1)).fill(0.5), x.shape)) };
    for (const grid of Object.keys(grids)) expect(new Set((await new Pipeline(partsOf(exact)).generate('a cat', { seed: 1, solver, grid, steps: 6 })).data)).toEqual(new Set([191]));
  });

  it('stops the work when the loop is left', async () => {
    const calls: { name: string; sigma: number; batch: number; condition: Conditioning }[] = [];
    for await (const { index } of new Pipeline(partsOf(toy(0, calls))).stream('a cat', { steps: 50 })) if (index === 2) break;
    expect(calls).toHaveLength(3);
  });

  it('describes itself without loading anything when told not to measure', async () => {
    const ensemble = new ExpertEnsemble([{ name: 'all', sigmaMin: 0.01, sigmaMax: 10, denoiser: () => Promise.reject(new Error('loaded')) }]);
    const text = await new Pipeline({ ...partsOf(ensemble), base: { ...base(ensemble), parameters: { all: 2_500_000 } } }).describe({ measure: false });
    expect(text).toMatch(/toy 1\nencoders {2}t5 \(3 × 2\), clip \(3 × 2\), clip-image \(4 px → 2\)/);
    expect(text).toMatch(/all {2,}2.50 M {2,}σ in \(0.01, 10\] {2,}4/);
  });

  it('disposes what it owns, and a variant only what the variant opened', async () => {
    let disposed = 0;
    const owner = new Pipeline(partsOf(toy(0)), [{ dispose: () => Promise.resolve(void disposed++) }]);
    await owner.with({ words: {} }).dispose();
    expect(disposed).toBe(0);
    await owner.dispose();
    expect(disposed).toBe(1);
  });
});

describe('Cascade', () => {
  const sr = (calls: { name: string; sigma: number; batch: number; condition: Conditioning }[]): Upsampler => ({ name: 'sr1', denoiser: toy(0, calls, 'sr1'), factor: 2, residualScale: 0.1, augmentation: 0.05, defaults: { steps: 3 } });

  it('enlarges with its own settings; the network sees the residual, the picture below and its noise level', async () => {
    const calls: { name: string; sigma: number; batch: number; condition: Conditioning }[] = [];
    const cascade = new Cascade({ ...partsOf(toy(0.5)), upsamplers: [sr(calls)] });
    const picture = await cascade.generate('a cat', { seed: 3, width: 24, stages: { sr1: { steps: 2, solver: 'heun', augmentation: 0.2 } } });
    expect([picture.width, picture.height]).toEqual([24, 16]);
    expect(picture.metadata.plan).toBe('base: base 4; sr1: sr1 3');
    expect(calls[0]!.sigma).toBeCloseTo(10, 9);
    const { inputs } = calls[0]!.condition;
    expect(inputs!['low_res']!.shape).toEqual([1, 3, 8, 12]);
    expect([...(await floats(inputs!['augmentation']!))][0]).toBeCloseTo(0.2, 6);
    expect((await cascade.generate('a cat', { upscale: false })).width).toBe(8);
  });

  it('runs stage after stage, each on the picture of the one before, and stops where it is told', async () => {
    const [first, second] = [[], []] as { name: string; sigma: number; batch: number; condition: Conditioning }[][];
    const cascade = new Cascade({ ...partsOf(toy(0.5)), upsamplers: [sr(first!), { ...sr(second!), name: 'sr2', factor: 4, defaults: { steps: 1 } }] });
    const whole = await cascade.generate('a cat', { seed: 3 });
    expect([whole.width, whole.metadata.plan]).toEqual([64, 'base: base 4; sr1: sr1 3; sr2: sr2 1']);
    expect(second!.map((call) => call.condition.inputs!['low_res']!.shape)).toEqual([[1, 3, 16, 16]]);
    const half = await cascade.generate('a cat', { seed: 3, upscale: 'sr1' });
    expect([half.width, second!.length]).toEqual([16, 1]);
    const [low] = await Promise.all([floats(second![0]!.condition.inputs!['low_res']!)]);
    expect(Math.max(...low.map((v, i) => Math.abs(v - half.tensor.data[i]!)))).toBeLessThan(0.3); // the same picture, noised by 0.05
    await expect(cascade.generate('a cat', { upscale: 'sr3' })).rejects.toThrow(/upscale: expected true, false, sr1, sr2/);
  });

  it('runs an optional stage, and those after it, only when it is named', async () => {
    const cascade = new Cascade({ ...partsOf(toy(0.5)), upsamplers: [sr([]), { ...sr([]), name: 'sr2', optional: true }, { ...sr([]), name: 'sr3' }] });
    const plans = await Promise.all([{}, { upscale: true }, { upscale: 'sr2' }, { upscale: 'sr3' }].map((options) => cascade.generate('a cat', { seed: 3, ...options })));
    expect(plans.map(({ width, metadata }) => [width, metadata.plan])).toEqual([
      [16, 'base: base 4; sr1: sr1 3'],
      [16, 'base: base 4; sr1: sr1 3'],
      [32, 'base: base 4; sr1: sr1 3; sr2: sr2 3'],
      [64, 'base: base 4; sr1: sr1 3; sr2: sr2 3; sr3: sr3 3'],
    ]);
    expect(await cascade.describe({ measure: false })).toContain('sr2  32 × 32, enlarges 2 × (only when upscale names it)');
  });

  it('keeps the picture below when the residual is nothing and no noise is added', async () => {
    const nothing: Denoiser = { ...toy(0), denoise: (x) => Promise.resolve(float32(new Float32Array(x.shape.reduce((a, b) => a * b, 1)), x.shape)) };
    const cascade = new Cascade({ ...partsOf(toy(0.5)), upsamplers: [{ ...sr([]), denoiser: nothing, augmentation: 0 }] });
    const [small, large] = [await cascade.generate('a cat', { seed: 3, upscale: false }), await cascade.generate('a cat', { seed: 3 })];
    const mean = (picture: { data: Uint8Array }): number => picture.data.reduce((a, b) => a + b, 0) / picture.data.length;
    expect(mean(large)).toBeCloseTo(mean(small), 0);
  });
});
