import { ExpertEnsemble, float32, precondition, sessionNetwork, type Backend, type Denoiser } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { loadModel } from '@ediffi/model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadBase, loadEdiffi, type Cascade, type Pipeline } from './index.js';
import { embeddedFolder } from './testing/embedded.js';

const PROMPT = 'a red apple on the grass';
const settings = { seed: 7, steps: 6 } as const;

describe('invariants of the whole stack, on the embedded model', () => {
  let base: Pipeline;
  let cascade: Cascade;
  beforeAll(async () => {
    base = await loadBase({ folder: embeddedFolder });
    cascade = await loadEdiffi({ folder: embeddedFolder });
  });
  afterAll(() => Promise.all([base.dispose(), cascade.dispose()]));

  it('same seed, same bytes, twice, through the whole cascade', async () => {
    const [first, second] = [await cascade.generate(PROMPT, settings), await cascade.generate(PROMPT, settings)];
    expect(Buffer.compare(first.toPng(), second.toPng())).toBe(0);
    expect(first.data.length).toBe(3 * first.width * first.height);
    expect(Buffer.compare((await cascade.generate(PROMPT, { ...settings, seed: 8 })).data, first.data)).not.toBe(0);
  });

  it('equal experts in an ensemble give the bytes of the single model, with as many network calls', async () => {
    const backend = ortNode();
    const { card, source } = await loadModel({ folder: embeddedFolder });
    const { sigmaData, sigmaMin, sigmaMax, cNoise, experts } = card.stages[0]!;
    const session = await backend.load(source(experts[0]!.file));
    const calls: string[] = [];
    const counted = (name: string): Denoiser => {
      const inner = precondition(sessionNetwork(session), { sigmaData, sigmaMin, sigmaMax, noise: cNoise });
      return { ...inner, denoise: (...call) => (calls.push(name), inner.denoise(...call)) };
    };
    const ensemble = new ExpertEnsemble(experts.map(({ name, sigmaMin, sigmaMax }) => ({ name, sigmaMin, sigmaMax, denoiser: counted(name) })));
    const stage = base.parts.base;
    const one = await base.with({ base: { ...stage, denoiser: counted('single') } }).generate(PROMPT, settings);
    const singleCalls = calls.splice(0).length;
    const many = await base.with({ base: { ...stage, denoiser: ensemble } }).generate(PROMPT, settings);
    expect(Buffer.compare(many.data, one.data)).toBe(0);
    expect([...many.tensor.data]).toEqual([...one.tensor.data]);
    expect(calls.length).toBe(singleCalls);
    expect(new Set(calls).size).toBe(experts.length);
    expect(many.metadata.stages[0]!.experts).toEqual([...new Set(calls)].map((name) => ({ name, calls: calls.filter((call) => call === name).length })));
    await backend.dispose();
  });

  it('paint of strength 0 gives the bytes of no paint; paint of strength 1 does not', async () => {
    const mask = float32(Float32Array.from({ length: 64 }, (_, i) => (i % 8 < 4 ? 1 : 0)), [8, 8]);
    const painted = (strength: number): Promise<{ data: Uint8Array; tensor: { data: Float32Array } }> => base.generate(PROMPT, { ...settings, paint: { regions: [{ phrase: 'red apple', mask }], strength } });
    const plain = await base.generate(PROMPT, settings);
    const zero = await painted(0);
    expect([...zero.tensor.data]).toEqual([...plain.tensor.data]);
    expect(Buffer.compare((await painted(1)).data, plain.data)).not.toBe(0);
  });

  it('a batch of 2 equals two batches of 1 within 1e-5', async () => {
    const both = await cascade.generate(PROMPT, { ...settings, seed: [7, 8] });
    for (const picture of both) {
      const alone = await cascade.generate(PROMPT, { ...settings, seed: picture.metadata.seed });
      const difference = picture.tensor.data.reduce((most, v, i) => Math.max(most, Math.abs(v - alone.tensor.data[i]!)), 0);
      expect(difference).toBeLessThanOrEqual(1e-5);
    }
  });

  it('encoders: each subset is legal and changes the picture', async () => {
    const pictures = await Promise.all([undefined, ['t5'], ['clip'], []].map((encoders) => base.generate(PROMPT, { ...settings, ...(encoders && { encoders }) })));
    expect(new Set(pictures.map((picture) => Buffer.from(picture.data).toString('base64'))).size).toBe(4);
    const style = { image: pictures[0]! };
    const [on, off] = [await base.generate(PROMPT, { ...settings, style }), await base.generate(PROMPT, { ...settings, style: { ...style, strength: 0 } })];
    expect(Buffer.compare(off.data, pictures[0]!.data)).toBe(0);
    expect(Buffer.compare(on.data, off.data)).not.toBe(0);
  });

  it('a 20 ms timer keeps ticking during generation', async () => {
    let ticks = 0;
    let late = 0;
    let before = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      late = Math.max(late, now - before - 20);
      before = now;
      ticks++;
    }, 20);
    const start = performance.now();
    await cascade.generate(PROMPT, { seed: 7 });
    const elapsed = performance.now() - start;
    clearInterval(timer);
    expect(ticks).toBeGreaterThan((elapsed / 20) * 0.5);
    expect(late).toBeLessThan(250);
  });

  it('abort in the middle rejects within one network call, leaves nothing running, and a second generation works', async () => {
    const inner = ortNode();
    let [running, started] = [0, 0];
    const backend: Backend = {
      ...inner,
      async load(...request) {
        const session = await inner.load(...request);
        const run: typeof session.run = (...call) => (running++, started++, session.run(...call).finally(() => running--));
        return { ...session, run };
      },
    };
    const counted = await loadBase({ folder: embeddedFolder, backend });
    const wanted = await base.generate(PROMPT, settings);
    const reason = new Error('enough');
    const between = new AbortController(); // aborted between two steps
    const streamed = (async () => {
      for await (const step of counted.stream(PROMPT, { seed: 7, steps: 200, signal: between.signal })) if (step.index === 3) between.abort(reason);
    })();
    await expect(streamed).rejects.toBe(reason);
    expect(running).toBe(0);

    const within = new AbortController(); // aborted while the network works
    const pending = counted.generate(PROMPT, { seed: 7, steps: 200, signal: within.signal });
    let [at, startedByThen] = [0, 0];
    setTimeout(() => ((at = performance.now()), (startedByThen = started), within.abort(reason)), 120);
    await expect(pending).rejects.toBe(reason);
    const waited = performance.now() - at;
    expect(started).toBe(startedByThen); // not one more network call begins
    const before = started;
    expect(Buffer.compare((await counted.generate(PROMPT, settings)).data, wanted.data)).toBe(0);
    expect(started - before).toBe(wanted.metadata.stages[0]!.experts.reduce((sum, { calls }) => sum + calls, 0) + 2); // and two encoders
    expect(running).toBe(0);
    expect(waited).toBeLessThan(1000);
    await expect(counted.generate(PROMPT, { ...settings, signal: within.signal })).rejects.toBe(reason);
    await counted.dispose();
    await inner.dispose();
  });

  it('a swapped expert works, and the original pipeline stays as it was', async () => {
    const before = await base.generate(PROMPT, settings);
    const gray: Denoiser = { sigmaMin: 0, sigmaMax: 1e9, alpha: () => 1, denoise: (x) => Promise.resolve(float32(new Float32Array(x.shape.reduce((a, b) => a * b, 1)), x.shape)), dispose: () => Promise.resolve() };
    const name = (base.parts.base.denoiser as ExpertEnsemble).experts.at(-1)!.name;
    const variant = base.with({ experts: { [name]: gray } });
    expect(new Set((await variant.generate(PROMPT, settings)).data)).toEqual(new Set([128]));
    await variant.dispose();
    expect(Buffer.compare((await base.generate(PROMPT, settings)).data, before.data)).toBe(0);
  });

  it('one expert in memory at a time gives the same bytes; a disposed pipeline refuses to paint', async () => {
    const wanted = await base.generate(PROMPT, settings);
    const frugal = await loadBase({ folder: embeddedFolder, resident: 1 });
    expect(Buffer.compare((await frugal.generate(PROMPT, settings)).data, wanted.data)).toBe(0);
    await frugal.dispose();
    await expect(frugal.generate(PROMPT, settings)).rejects.toMatchObject({ code: 'DisposedError' });
  });

  it('image to image keeps more at low strength; inpainting keeps what the mask keeps', async () => {
    const image = await base.generate(PROMPT, settings);
    const away = (other: { data: Uint8Array }): number => other.data.reduce((sum, v, i) => sum + Math.abs(v - image.data[i]!), 0);
    const little = await base.generate('a cat', { seed: 9, image, strength: 0.2 });
    const much = await base.generate('a cat', { seed: 9, image, strength: 0.9 });
    expect(away(little)).toBeLessThan(away(much));
    const { width, height } = image;
    const mask = float32(Float32Array.from({ length: width * height }, (_, i) => (i % width < width / 2 ? 1 : 0)), [height, width]);
    const half = await base.generate('a cat', { seed: 9, steps: 6, image, mask });
    const kept = (i: number): boolean => Math.floor(i / 3) % width >= width / 2;
    expect(half.data.every((v, i) => !kept(i) || Math.abs(v - image.data[i]!) <= 1)).toBe(true);
    expect(half.data.some((v, i) => !kept(i) && Math.abs(v - image.data[i]!) > 8)).toBe(true);
  });
});
