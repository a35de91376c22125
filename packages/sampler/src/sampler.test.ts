import { CapabilityError, EdiffiError, OptionError, SigmaRangeError, float32, floats, Generator, randn, randnBatch, type Denoise, type HostTensor, type Tensor } from '@ediffi/core';
import { edmAlpha, flowAlpha, gaussian, mixture, type Alpha } from '@ediffi/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as sampler from './index.js';
import { brownianNoise, checkpoint, ddim, deisRk, dpmMultistep, dpmpp2m, eulerAncestral, heun, inpaint, karras, noised, seededNoise, tail, unipc, type Noise, type Solver, type Step } from './index.js';

const finish = async (steps: AsyncGenerator<Step, Tensor, void>): Promise<Float32Array> => {
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return floats(value);
  }
};
const bound = (solver: Solver, options: object): Solver => (d, x, s, more) => solver(d, x, s, { ...options, ...more });
/** One Brownian path per picture, or where draws must be independent one generator per picture. */
const noiseFor = (name: string, seeds: number | number[]): Noise => {
  if (name !== 'restart') return brownianNoise(seeds);
  const generators = [seeds].flat().map((s) => new Generator(s));
  return (shape) => randnBatch(shape.slice(1), generators);
};
/** Independent draws that are fixed by the interval. */
const ofInterval: Noise = (shape, from, to) => randn(shape, Math.round(from * 1e6) * 1e6 + Math.round(to * 1e6));
/** Saved after any step but the last, a run makes the steps that are left and ends with the same bytes; it has no more to do after the last. */
async function goesOn(solver: Solver, options: object): Promise<void> {
  const [saved, seen]: [sampler.Checkpoint[], string[]] = [[], []];
  const show = ({ index, sigma, sigmaNext }: Step): string => [index, sigma, sigmaNext].join();
  const steps = solver(exact.edm, x, sigmas, options);
  let last = await steps.next();
  for (; !last.done; last = await steps.next()) {
    seen.push(show(last.value));
    saved.push(await checkpoint(last.value));
  }
  expect(seen.length).toBeGreaterThan(2);
  for (const [i, { x: from, resume }] of saved.slice(0, -1).entries()) {
    expect(resume.index).toBe(i + 1);
    const again: string[] = [];
    const rest = solver(exact.edm, from, sigmas, { ...options, resume });
    let step = await rest.next();
    for (; !step.done; step = await rest.next()) again.push(show(step.value));
    expect(again).toEqual(seen.slice(i + 1));
    expect(await floats(step.value)).toEqual(await floats(last.value));
  }
  const { x: end, resume } = saved.at(-1)!;
  await expect((async () => finish(solver(exact.edm, end, sigmas, { ...options, resume })))()).rejects.toThrow(OptionError);
}
const vpAlpha: Alpha = (s) => Math.sqrt(Math.max(0, 1 - s * s));

/** Every solver; `vp`: works on VP latents, the others refuse them. `grid: false`: makes its own inner grid. */
const solvers: Record<string, { solver: Solver; vp?: boolean; own?: boolean; flow?: false; distilled?: boolean }> = {
  euler: { solver: sampler.euler, vp: true }, heun: { solver: heun }, eulerAncestral: { solver: eulerAncestral, vp: true }, dpm2: { solver: sampler.dpm2 }, dpm2Ancestral: { solver: sampler.dpm2Ancestral, flow: false },
  lms: { solver: sampler.lms }, dpmFast: { solver: sampler.dpmFast, vp: true, own: true }, dpmAdaptive: { solver: sampler.dpmAdaptive, vp: true, own: true }, dpmpp2m: { solver: dpmpp2m, vp: true },
  dpmMultistep: { solver: dpmMultistep, vp: true }, 'dpmMultistep 3': { solver: bound(dpmMultistep, { order: 3 }), vp: true }, 'dpmMultistep noise 3': { solver: bound(dpmMultistep, { order: 3, algorithm: 'dpmsolver' }), vp: true },
  'dpmMultistep sde': { solver: bound(dpmMultistep, { algorithm: 'sde-dpmsolver++', order: 3 }), vp: true }, dpmSinglestep: { solver: bound(sampler.dpmSinglestep, { order: 3 }), vp: true },
  dpmpp2sAncestral: { solver: sampler.dpmpp2sAncestral, vp: true }, dpmppSde: { solver: sampler.dpmppSde, vp: true }, dpmpp2mSde: { solver: sampler.dpmpp2mSde, vp: true }, dpmpp3mSde: { solver: sampler.dpmpp3mSde, vp: true },
  unipc: { solver: unipc, vp: true }, 'unipc bh1 3': { solver: bound(unipc, { variant: 'bh1', order: 3 }), vp: true }, 'unipc noise': { solver: bound(unipc, { prediction: 'noise' }), vp: true }, deis: { solver: sampler.deis, vp: true }, deisRk: { solver: deisRk },
  saSolver: { solver: sampler.saSolver, vp: true }, 'saSolver p3c4': { solver: bound(sampler.saSolver, { predictorOrder: 3, correctorOrder: 4 }), vp: true }, ddim: { solver: bound(ddim, { eta: 0.5 }), vp: true }, ddpm: { solver: sampler.ddpm, vp: true },
  pndm: { solver: sampler.pndm, vp: true }, plms: { solver: bound(sampler.pndm, { skipPrk: true }), vp: true }, ipndm: { solver: sampler.ipndm, vp: true }, lcm: { solver: sampler.lcm, vp: true, distilled: true }, tcd: { solver: sampler.tcd, vp: true, distilled: true },
  consistency: { solver: sampler.consistency, flow: false, distilled: true }, restart: { solver: sampler.restart, own: true },
};
const x = float32([1.5, -0.5, 0.25], [1, 3]);
const sigmas = karras(6, { sigmaMin: 0.05, sigmaMax: 10 });
const flowSigmas = Float64Array.of(1, 0.85, 0.6, 0.4, 0.2, 0.05, 0);
const exact = { edm: mixture([{ weight: 0.6, mean: -0.8, std: 0.3 }, { weight: 0.4, mean: 0.9, std: 0.5 }]).denoise };

for (const [name, { solver, vp, own, flow, distilled }] of Object.entries(solvers)) {
  describe(name, () => {
    it('lands on a constant denoiser’s answer, on EDM and flow', async () => {
      for (const [alpha, grid] of [[edmAlpha, sigmas], [edmAlpha, Float64Array.of(5, 0)], ...(flow === false ? [] : [[flowAlpha, own && name !== 'restart' ? flowSigmas.subarray(1) : flowSigmas], [flowAlpha, Float64Array.of(own && name !== 'restart' ? 0.9 : 1, 0)]])] as [Alpha, Float64Array][]) {
        const constant: Denoise = Object.assign(async (y: Tensor) => float32([0.3, -0.7, 0.1], y.shape), { alpha });
        (await finish(solver(constant, x, grid))).forEach((v, i) => expect(v).toBeCloseTo([0.3, -0.7, 0.1][i]!, 5));
      }
    });
    it('yields σ falling to the end and leaves the caller’s x alone', async () => {
      const seen: Step[] = [];
      for await (const step of solver(exact.edm, x, sigmas)) seen.push({ ...step });
      if (!own) expect(seen.map((s) => s.sigma)).toEqual([...sigmas.subarray(0, 6)]);
      expect([seen[0]!.sigma, seen.at(-1)!.sigmaNext]).toEqual([10, 0]);
      seen.forEach((s, i) => expect(s.index).toBe(i));
      expect([...x.data]).toEqual([1.5, -0.5, 0.25]);
    });
    it('frees what it made, also when the consumer stops early or the network fails', async () => {
      let alive = 0;
      const device = { id: 'counting', lincomb: (terms: readonly (readonly [number, Tensor])[]) => track(terms[0]![1].shape), fromHost: (t: Tensor) => track(t.shape) };
      const track = (shape: readonly number[]): Tensor<'float32'> => {
        alive++;
        let freed = false;
        return { dtype: 'float32', shape, device, toHost: async () => float32(new Float32Array(3), shape), dispose: () => void (freed || ((freed = true), alive--)) };
      };
      const start = track([1, 3]);
      const denoise: Denoise = async (y) => track(y.shape);
      const noise = (shape: readonly number[]): Tensor => track(shape);
      const steps = solver(denoise, start, sigmas, { noise });
      for (let step = await steps.next(); ; step = await steps.next()) {
        if (!step.done) continue;
        expect(alive).toBe(2); // the caller's start and the returned end
        step.value.dispose();
        break;
      }
      for await (const step of solver(denoise, start, sigmas, { noise })) if (step.index === 1) break;
      expect(alive).toBe(1);
      let calls = 0;
      const failing: Denoise = async (y) => (calls++ === 3 ? Promise.reject(new Error('lost')) : track(y.shape));
      await expect((async () => { for await (const _ of solver(failing, start, sigmas, { noise })); })()).rejects.toThrow('lost');
      expect(alive).toBe(1);
    });
    it('refuses a grid that does not decrease', async () => {
      for (const bad of [[1, 2], [1, 1], [1], [1, -0.5], [Number.NaN, 0], [Infinity, 1, 0]]) {
        await expect((async () => finish(solver(exact.edm, x, Float64Array.from(bad))))()).rejects.toThrow(SigmaRangeError);
      }
    });
    it(vp ? 'runs on VP latents as on their VE form' : 'refuses VP latents, saying why', async () => {
      const s = sigmas.map((v) => v / Math.hypot(1, v));
      const denoise = gaussian(0.2, 0.5, vpAlpha).denoise;
      if (!vp) return expect((async () => finish(solver(denoise, x, s)))()).rejects.toThrow(CapabilityError);
      const noise = brownianNoise(1);
      const wide = (from: number): number => from / Math.sqrt(1 - from * from);
      const same = (shape: readonly number[], a: number, b: number): Tensor => noise(shape, Math.round(wide(a) * 1e6) / 1e6, Math.round(wide(b) * 1e6) / 1e6) as Tensor;
      const inVp = await finish(solver(denoise, float32(x.data.map((v) => v * vpAlpha(s[0]!)), x.shape), s, { noise: same }));
      const inVe = await finish(solver(gaussian(0.2, 0.5).denoise, x, sigmas, { noise: (shape: readonly number[], a: number, b: number) => noise(shape, Math.round(a * 1e6) / 1e6, Math.round(b * 1e6) / 1e6) }));
      if (!distilled || name === 'lcm') inVp.forEach((v, i) => expect(v).toBeCloseTo(inVe[i]!, 3));
    });
    it('treats a batch of 2 as two batches of 1', async () => {
      if (name === 'dpmAdaptive') return; // its step size is the batch's
      const run = (data: number[], seeds: number[]): Promise<Float32Array> => finish(solver(exact.edm, float32(data, [seeds.length, 3]), sigmas, { noise: noiseFor(name, seeds) }));
      const both = await run([1.5, -0.5, 0.25, 4, 0, -9], [1, 2]);
      expect([...both]).toEqual([...(await run([1.5, -0.5, 0.25], [1])), ...(await run([4, 0, -9], [2]))]);
    });
    it('goes on from a checkpoint with the same bytes', () => goesOn(solver, { noise: name === 'restart' ? ofInterval : brownianNoise(3) }));
  });
}

describe('going on', () => {
  it('restart: between and within its repeated intervals, which each draw anew', () =>
    goesOn(bound(sampler.restart, { intervals: [{ sigmaMin: 0.1, sigmaMax: 0.8, times: 2, steps: 3 }, { sigmaMin: 1, sigmaMax: 5, times: 2, steps: 1 }] }), { noise: ofInterval }));
  it('dpmAdaptive: with the controller’s memory, refused steps and noise', async () => {
    for (const options of [{ firstStep: 3, rtol: 1e-3, proportional: 0.3, integral: 0.5, derivative: 0.2 }, { firstStep: 1, order: 2, eta: 0.7, derivative: 0.1 }]) await goesOn(bound(sampler.dpmAdaptive, options), { noise: ofInterval });
  });
  it('dpmAdaptive: not from the end of a grid above 0', async () => {
    const grid = sigmas.subarray(0, -1);
    let saved: sampler.Checkpoint | undefined;
    for await (const step of sampler.dpmAdaptive(exact.edm, x, grid)) saved = await checkpoint(step);
    await expect(finish(sampler.dpmAdaptive(exact.edm, saved!.x, grid, { resume: saved!.resume }))).rejects.toThrow(OptionError);
  });
});

describe('a step makes no more tensors than it hands on', () => {
  const made = async (solver: Solver): Promise<number> => {
    let count = 0;
    const device = { id: 'counting', lincomb: (terms: readonly (readonly [number, Tensor])[]) => (count++, plain(terms[0]![1].shape)), fromHost: (t: Tensor) => plain(t.shape) };
    const plain = (shape: readonly number[]): Tensor<'float32'> => ({ dtype: 'float32', shape, device, toHost: async () => float32(new Float32Array(3), shape), dispose: () => undefined });
    for await (const _ of solver(async (y) => plain(y.shape), plain([1, 3]), sigmas));
    return count / (sigmas.length - 1);
  };
  it.each([['euler', sampler.euler, 1], ['dpmpp2m', dpmpp2m, 1], ['dpmMultistep 3', bound(dpmMultistep, { order: 3 }), 1], ['ddim', ddim, 1], ['deis', sampler.deis, 2], ['unipc', unipc, 2]] as const)(
    '%s: its result, and where it remembers another form of the answer that one',
    async (_, solver, most) => expect(await made(solver as Solver)).toBeLessThanOrEqual(most),
  );
});

describe('a change of expert', () => {
  it('keeps the solver’s memory: equal experts give the bytes of one', async () => {
    const other = mixture([{ weight: 0.6, mean: -0.8, std: 0.3 }, { weight: 0.4, mean: 0.9, std: 0.5 }]).denoise;
    const ensemble: Denoise = (y, s) => (s > 1 ? exact.edm : other)(y, s);
    for (const [name, { solver }] of Object.entries(solvers)) expect(await finish(solver(ensemble, x, sigmas, { noise: noiseFor(name, 2) })), name).toEqual(await finish(solver(exact.edm, x, sigmas, { noise: noiseFor(name, 2) })));
  });
});

describe('illegal options are refused before the first network call', () => {
  const cases: [string, Solver, object][] = [
    ['eta', eulerAncestral, { eta: -1 }], ['eta', ddim, { eta: 2 }], ['noiseScale', eulerAncestral, { noiseScale: Number.NaN }], ['churn', heun, { churn: -1 }], ['tableau', deisRk, { tableau: 'rk9' }], ['order', sampler.lms, { order: 5 }],
    ['order', unipc, { order: 4 }], ['variant', unipc, { variant: 'bh3' }], ['prediction', unipc, { prediction: 'x' }], ['order', sampler.deis, { order: 0 }], ['algorithm', dpmMultistep, { algorithm: 'x' }], ['type', dpmMultistep, { type: 'x' }], ['order', dpmMultistep, { order: 4 }],
    ['orders', sampler.dpmSinglestep, { orders: [1, 3] }], ['r', sampler.dpmppSde, { r: 0 }], ['type', sampler.dpmpp2mSde, { type: 'x' }], ['eta', sampler.dpmpp3mSde, { eta: -0.1 }], ['variance', sampler.ddpm, { variance: 'x' }], ['eta', sampler.tcd, { eta: 1.5 }],
    ['predictorOrder', sampler.saSolver, { predictorOrder: 4 }], ['correctorOrder', sampler.saSolver, { correctorOrder: 5 }], ['calls', sampler.dpmFast, { calls: 0 }], ['order', sampler.dpmAdaptive, { order: 1 }], ['rtol', sampler.dpmAdaptive, { rtol: -1 }], ['order', sampler.ipndm, { order: 0 }],
    ['noise', heun, { churn: 2 }], ['noise', heun, { churn: 2, noise: brownianNoise(1) }], ['noise', sampler.restart, { noise: brownianNoise(1) }],
    ['sigmaMin', sampler.consistency, { sigmaMin: -1 }], ['restart.sigmaMax', sampler.restart, { intervals: [{ sigmaMin: 1, sigmaMax: 0.5, times: 1, steps: 2 }] }], ['resume.index', dpmpp2m, { resume: { index: 6 } }], ['resume.index', sampler.restart, { resume: { index: 18 } }], ['resume.history', sampler.dpmAdaptive, { resume: { index: 3 } }], ['resume.index', sampler.dpmAdaptive, { resume: { index: -1 } }],
  ];
  it.each(cases)('%s', async (option, solver, options) => {
    let calls = 0;
    const counting: Denoise = (y, s) => (calls++, exact.edm(y, s));
    const error = await (async () => finish(solver(counting, x, sigmas, options)))().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OptionError);
    expect((error as OptionError).option).toBe(option);
    expect(calls).toBe(0);
  });
  it('churn and consistency on a flow model are a CapabilityError', async () => {
    const flow = gaussian(0, 1, flowAlpha).denoise;
    for (const run of [() => heun(flow, x, flowSigmas, { churn: 3 }), () => sampler.consistency(flow, x, flowSigmas), () => sampler.dpm2Ancestral(flow, x, flowSigmas)]) expect(run).toThrow(CapabilityError);
    await expect(finish(sampler.dpmAdaptive(flow, x, flowSigmas))).rejects.toThrow(SigmaRangeError);
  });
});

describe('properties', () => {
  const range = fc.tuple(fc.double({ min: 1e-4, max: 0.5, noNaN: true }), fc.double({ min: 0.6, max: 200, noNaN: true }));
  const steps = fc.integer({ min: 1, max: 60 });
  const falls = (grid: Float64Array): void => {
    expect(grid.at(-1)).toBe(0);
    for (let i = 1; i < grid.length; i++) expect(grid[i]!).toBeLessThan(grid[i - 1]!);
  };
  it('every grid falls strictly to 0 for any steps, range and ρ', () => {
    const schedules = [sampler.vpSchedule({ kind: 'scaled_linear', start: 0.00085, end: 0.012 }), sampler.flowSchedule({ shift: 3 }), sampler.edmSchedule()];
    fc.assert(
      fc.property(steps, range, fc.double({ min: 0.5, max: 12, noNaN: true }), fc.double({ min: 0.2, max: 8, noNaN: true }), (n, [sigmaMin, sigmaMax], rho, shift) => {
        const r = { sigmaMin, sigmaMax };
        for (const grid of [karras(n, { ...r, rho }), sampler.exponential(n, r), sampler.linear(n, r), sampler.polyexponential(n, { ...r, rho: rho / 4 }), sampler.klOptimal(n, r), sampler.luLambda(n, r), sampler.luLambda(n, { sigmaMin: sigmaMin / 2, sigmaMax: 0.99, flow: true })]) {
          expect(grid.length).toBe(n + 1);
          falls(grid);
        }
        falls(sampler.linearQuadratic(n, { sigmaMax }));
        falls(sampler.vp(n));
        falls(sampler.alignYourSteps(n, 'sdxl'));
        falls(sampler.flowGrid(n, { shift }));
        falls(sampler.flowGrid(n, { mu: shift / 4, ...(n > 1 && { terminal: 0.02 }) }));
        for (const s of schedules) for (const g of [sampler.simple, sampler.normal, sampler.sgmUniform, sampler.ddimUniform, sampler.beta]) falls(g(n, s));
      }),
      { numRuns: 40 },
    );
  });
  it('refuses a ρ that leaves steps of no length', () => expect(() => sampler.polyexponential(45, { sigmaMin: 1e-4, sigmaMax: 0.6, rho: 12 })).toThrow(OptionError));
  it('no NaN for any legal option', async () => {
    const choice = fc.record({ eta: fc.double({ min: 0, max: 1, noNaN: true }), order: fc.integer({ min: 1, max: 3 }), tau: fc.double({ min: 0, max: 1.5, noNaN: true }), n: fc.integer({ min: 1, max: 9 }), flow: fc.boolean(), top: fc.double({ min: 0.5, max: 100, noNaN: true }), zero: fc.boolean(), heun: fc.boolean(), noise: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(solvers)), choice, async (name, { eta, order, tau, n, flow, top, zero, heun: second, noise }) => {
        const entry = solvers[name]!;
        const onFlow = flow && entry.flow !== false;
        const grid = onFlow ? sampler.flowGrid(n, { shift: 3, ...(entry.own && { sigmas: Array.from({ length: n }, (_, i) => 0.95 * (1 - i / n)) }) }) : karras(n, { sigmaMin: 0.01, sigmaMax: top });
        const options = { eta, order: name === 'dpmAdaptive' ? Math.max(2, order) : order, tau, type: second ? 'heun' : 'midpoint', prediction: noise ? 'noise' : 'data', noise: noiseFor(name, 1) };
        const end = await finish(entry.solver(mixture([{ weight: 1, mean: 0.3, std: 0.4 }], onFlow ? flowAlpha : edmAlpha).denoise, x, zero || grid.length < 3 ? grid : grid.subarray(0, -1), options));
        expect(end.every(Number.isFinite), `${name} ${[...grid].join(' ')}`).toBe(true);
      }),
      { numRuns: 250 },
    );
  });
});

describe('loop operations', () => {
  it('image to image starts on the picture’s noise path, at the tail of the grid', async () => {
    expect([...tail(sigmas, 0.5)]).toEqual([...sigmas.subarray(3)]);
    expect(tail(sigmas, 0.01).length).toBe(2);
    expect(() => tail(sigmas, 0)).toThrow(OptionError);
    const picture = float32([0.9, -0.8, 0.2], [1, 3]);
    const part = tail(karras(40, { sigmaMin: 0.01, sigmaMax: 10 }), 0.3);
    const noise = randn([1, 3], 4);
    const end = await finish(heun(gaussian(0, 1).denoise, await noised(picture, noise, part[0]!), part));
    end.forEach((v, i) => expect(v).toBeCloseTo(gaussian(0, 1).solve(picture.data[i]! + part[0]! * noise.data[i]!, part[0]!, 0), 2));
    expect(((await noised(picture, noise, 0.5, { alpha: flowAlpha })) as HostTensor).data[0]).toBeCloseTo(0.45 + 0.5 * noise.data[0]!, 6);
  });
  it('inpainting keeps what the mask keeps, exactly at the end, for every solver and form', async () => {
    const image = float32([0.9, -0.8, 0.2], [1, 3]);
    const mask = float32([0, 1, 0.5], [1, 3]);
    for (const [name, { solver, flow }] of Object.entries(solvers)) {
      for (const alpha of flow === false || name.startsWith('dpmFast') || name === 'dpmAdaptive' ? [edmAlpha] : [edmAlpha, flowAlpha]) {
        const grid = alpha === edmAlpha ? sigmas : flowSigmas;
        const noise = randn([1, 3], 2);
        const end = await finish(solver(inpaint(gaussian(0, 0.5, alpha).denoise, { image, noise, mask }), await noised(float32([0, 0, 0], [1, 3]), noise, grid[0]!, { alpha }), grid, { noise: seededNoise(1) }));
        if (name !== 'tcd') expect(end[0], name).toBeCloseTo(0.9, 5);
      }
    }
    await expect(finish(heun(inpaint(exact.edm, { image, noise: image, mask: float32([1], [1, 1]) }), x, sigmas))).rejects.toThrow(EdiffiError);
  });
  it('DDIM’s inverse takes a picture to noise and back', async () => {
    const up = Float64Array.from(karras(60, { sigmaMin: 0.01, sigmaMax: 5 }).subarray(0, 60)).reverse();
    const denoise = gaussian(0.1, 0.6).denoise;
    const noise = await finish(ddim(denoise, x, up, { inverse: true }));
    const back = await finish(ddim(denoise, float32(noise, [1, 3]), up.slice().reverse()));
    back.forEach((v, i) => expect(Math.abs(v - x.data[i]!)).toBeLessThan(0.1));
    const second = await finish(dpmMultistep(denoise, x, up, { inverse: true, order: 2 }));
    second.forEach((v, i) => expect(Math.abs(v - gaussian(0.1, 0.6).solve(x.data[i]!, 0.01, 5))).toBeLessThan(0.03 * Math.abs(v) + 0.02));
  });
  it('dpmAdaptive gets closer with a smaller tolerance', async () => {
    const errors: number[] = [];
    for (const rtol of [0.05, 0.002]) {
      const end = await finish(sampler.dpmAdaptive(gaussian(0.2, 0.5).denoise, x, Float64Array.of(10, 0.05), { rtol, atol: rtol / 10 }));
      errors.push(Math.max(...end.map((v, i) => Math.abs(v - gaussian(0.2, 0.5).solve(x.data[i]!, 10, 0.05)))));
    }
    expect(errors[0]).toBeLessThan(0.05);
    expect(errors[1]).toBeLessThan(errors[0]!);
  });
});
