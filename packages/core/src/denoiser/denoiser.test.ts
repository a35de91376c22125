import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  bind, dynamicThreshold, edmCoefficients, epsilon, float32, floats, flow, guided, lincomb, noiseInput, NonFiniteError, OptionError, precondition, residual, SigmaRangeError,
  staticThreshold, thresholded, velocity, type Denoiser, type Device, type GuidanceOptions, type HostTensor, type Network, type Tensor, type Term,
} from '../index.js';
import { gaussian } from '../testing/index.js';

type Packed = { dtype: string; data: (number | string)[]; shape?: number[] };
interface Case {
  id: string;
  fn: string;
  args: Record<string, number>;
  in: Record<string, Packed>;
  out: Record<string, Packed>;
}
const { cases } = JSON.parse(readFileSync(new URL('../../golden/functions.json', import.meta.url), 'utf8')) as { cases: Case[] };
const of = (fn: string): Case[] => cases.filter((c) => c.fn === fn);
const numbers = (p: Packed): number[] => p.data.map(Number);
const tensor = (p: Packed): Tensor & { data: Float32Array } => float32(numbers(p), p.shape!) as Tensor & { data: Float32Array };

/** A denoiser that answers a·x + b·row for conditions that are numbers. */
const toy = (log: number[] = []): Denoiser<number> => ({
  sigmaMin: 0.01,
  sigmaMax: 80,
  alpha: () => 1,
  denoise: async (x, sigma, c) => {
    log.push(x.shape[0]!);
    return float32((await floats(x)).map((v, i) => 0.5 * v + c * (i < x.shape[1]! ? 1 : -1) * sigma), x.shape);
  },
  dispose: async () => undefined,
});
/** Two numbers as one: the toy uses the sign by row. */
const options: GuidanceOptions<number> = { join: (positive) => positive };

describe('EDM preconditioning', () => {
  it('equals the golden coefficients', () => {
    expect(of('edm_precondition').length).toBeGreaterThan(0);
    for (const { id, args, in: input, out } of of('edm_precondition')) {
      numbers(input['sigma']!).forEach((sigma, i) => {
        const c = edmCoefficients(sigma, args['sigma_data']!);
        const pairs: [number, Packed | undefined][] = [[c.skip, out['c_skip']], [c.out, out['c_out']], [c.in, out['c_in']]];
        for (const [actual, expected] of pairs) expect(Math.abs(actual / numbers(expected!)[i]! - 1), id).toBeLessThan(1e-12);
        if (out['c_noise']) expect(noiseInput('log/4')(sigma)).toBeCloseTo(numbers(out['c_noise'])[i]!, 12);
      });
    }
  });
  it('wraps the network that answers F for Gaussian data', async () => {
    // For N(0, σ_d²) data the exact D is c_skip·x, so F = 0.
    const network: Network<null> = async (x) => float32(new Float32Array(x.shape[1]!), x.shape);
    const D = bind(precondition(network, { sigmaData: 0.5, sigmaMin: 0.01, sigmaMax: 80 }), null);
    const x = float32([1, -2, 0.3], [1, 3]);
    for (const sigma of [0.01, 0.4, 3, 80]) expect(await floats(await D(x, sigma))).toEqual(await floats(await gaussian(0, 0.5).denoise(x, sigma)));
    await expect(D(x, 81)).rejects.toThrow(SigmaRangeError);
    await expect(D(x, 0.001)).rejects.toThrow(SigmaRangeError);
  });
  it('refuses illegal scalars', () => {
    const network: Network<null> = async (x) => x;
    expect(() => precondition(network, { sigmaData: Number.NaN, sigmaMin: 0.1, sigmaMax: 1 })).toThrow(OptionError);
    expect(() => precondition(network, { sigmaData: 1, sigmaMin: 2, sigmaMax: 1 })).toThrow(OptionError);
  });
});

describe('other parametrisations', () => {
  const exact = gaussian(0, 0.5);
  const x = float32([0.7, -1.1], [1, 2]);
  const options_ = { sigmaMin: 0.01, sigmaMax: 20, timestep: (s: number) => s };
  const scaled = (y: Tensor, f: (v: number) => number): Promise<Tensor> => floats(y).then((data) => float32(data.map(f), y.shape));
  it('ε and v networks of the same data give the same D', async () => {
    const eps: Network<null> = (y, s) => scaled(y, (v) => (v * Math.sqrt(1 + s * s) * s) / (0.25 + s * s));
    const vel: Network<null> = (y, s) => scaled(y, (v) => (v * Math.sqrt(1 + s * s) * (1 / (1 + s * s) - 0.25 / (0.25 + s * s)) * Math.sqrt(1 + s * s)) / s);
    for (const sigma of [0.05, 1, 9]) {
      const want = await floats(await exact.denoise(x, sigma));
      for (const make of [epsilon(eps, options_), velocity(vel, options_)]) {
        const got = await floats(await bind(make, null)(x, sigma));
        got.forEach((v, i) => expect(v).toBeCloseTo(want[i]!, 5));
      }
    }
  });
  it('flow: D = x − σ·u, with α = 1 − σ', async () => {
    const u: Network<null> = (y) => scaled(y, () => 2);
    const D = bind(flow(u, { ...options_, sigmaMax: 1 }), null);
    expect(D.alpha!(0.3)).toBeCloseTo(0.7);
    expect([...(await floats(await D(x, 0.5)))].map((v) => +v.toFixed(5))).toEqual([-0.3, -2.1]);
  });
  it('refuse an illegal range', () => {
    for (const make of [epsilon, velocity, flow]) expect(() => make(async (y: Tensor) => y, { ...options_, sigmaMin: Number.NaN })).toThrow(OptionError);
  });
  it('free what they made when the network fails', async () => {
    const freed: string[] = [];
    const device = { id: 'other', fromHost: (t: Tensor) => t as Tensor<'float32'>, lincomb: () => ({ ...alien, dispose: () => freed.push('scaled') }) as unknown as Tensor<'float32'> };
    const alien = { dtype: 'float32', shape: [1, 2], device, toHost: async () => x, dispose: () => freed.push('x') } as unknown as Tensor;
    const failing: Network<null> = async () => { throw new Error('lost'); };
    for (const make of [epsilon(failing, options_), precondition(failing, { sigmaData: 0.5, sigmaMin: 0.01, sigmaMax: 20 })]) await expect(bind(make, null)(alien, 1)).rejects.toThrow('lost');
    expect(freed).toEqual(['scaled', 'scaled']);
  });
  it('gives networks the EDM-like σ of a flow for regions', async () => {
    let seen = 0;
    const D = bind(flow<null>(async (y, _, sigma) => ((seen = sigma), y), { ...options_, sigmaMax: 1 }), null);
    await D(x, 0.75);
    expect(seen).toBeCloseTo(3);
  });
});

describe('guidance', () => {
  const x = float32([1, 2], [1, 2]);
  it('is D₋ + w·(D₊ − D₋), from one call of twice the batch', async () => {
    const log: number[] = [];
    const D = bind(guided(toy(log), 3, options), { positive: 0.1, negative: 0 });
    // toy: D₊ = x/2 + 0.1σ, D₋ = x/2 − 0.1σ
    const y = await floats(await D(x, 2));
    expect(log).toEqual([2]);
    [0.5, 1].forEach((half, i) => expect(y[i]).toBeCloseTo(half - 0.2 + 3 * 0.4, 6));
  });
  it('makes one call with the positive alone outside its window or at w = 1', async () => {
    const log: number[] = [];
    const D = bind(guided(toy(log), (s) => (s > 5 ? 1 : 3), { ...options, window: { from: 1 } }), { positive: 0.1, negative: 0 });
    await D(x, 0.5);
    await D(x, 6);
    expect(log).toEqual([1, 1]);
  });
  it('takes the scale of the model itself first', async () => {
    const own: Denoiser<number> = { ...toy(), guidanceAt: () => 1 };
    const D = bind(guided(own, 9, options), { positive: 0.1, negative: 0 });
    expect((await floats(await D(x, 2)))[0]).toBeCloseTo(0.7);
  });
  it('rescales as the golden cases do', async () => {
    expect(of('cfg_rescale').length).toBeGreaterThan(0);
    for (const { id, args, in: input, out } of of('cfg_rescale')) {
      const [no, yes] = [tensor(input['uncond']!), tensor(input['cond'] ?? input['text']!)];
      const model: Denoiser<number> = { ...toy(), denoise: async (y) => (y.shape[0] === no.shape[0] ? yes : float32([...yes.data, ...no.data], [2 * no.shape[0]!, ...no.shape.slice(1)])) };
      const D = bind(guided(model, args['guidance']!, { ...options, rescale: args['rescale']! }), { positive: 1, negative: 0 });
      const got = await floats(await D(no, 1));
      const want = numbers(out['y']!);
      got.forEach((v, i) => expect(Math.abs(v - want[i]!), id).toBeLessThan(3e-6 * Math.max(1, Math.abs(want[i]!))));
    }
  });
  it('leaves a picture of one colour as it is when it rescales, and the others of its batch rescaled', async () => {
    const answer = [Math.fround(0.3), ...Array<number>(6).fill(Math.fround(0.3)), 1, 2, 3, 4, 5, 6, 7];
    const model: Denoiser<number> = { ...toy(), denoise: async () => float32([...answer, ...answer.map((v) => 0.5 * v)], [4, 7]) };
    const D = bind(guided(model, 3, { ...options, rescale: 1 }), { positive: 1, negative: 0 });
    const got = await floats(await D(float32(new Float32Array(14), [2, 7]), 1));
    got.slice(0, 7).forEach((v) => expect(v).toBeCloseTo(0.6, 6)); // D₋ + 3·(D₊ − D₋) = 2·D₊
    got.slice(7).forEach((v, i) => expect(v).toBeCloseTo(i + 1, 5)); // and there its deviation is D₊'s
  });
  it('frees every tensor it makes on a device when it rescales', async () => {
    let alive = 0;
    const on = (host: HostTensor): Tensor<'float32'> => {
      let freed = false;
      alive++;
      return { shape: host.shape, dtype: 'float32', device: far, toHost: async () => host, dispose: () => void (freed || ((freed = true), alive--)) };
    };
    const hostTerm = async ([c, t]: Term): Promise<Term> => [c, await t.toHost()];
    const far: Device = { id: 'far', fromHost: on, lincomb: async (terms) => on((await lincomb(...(await Promise.all(terms.map(hostTerm))))) as HostTensor) };
    const model: Denoiser<number> = { ...toy(), denoise: async (y) => on(float32((await floats(y)).map((v, i) => Math.sin(v + i)), y.shape)) };
    const x = on(float32([1, 2, 3], [1, 3]));
    const y = await bind(guided(model, 3, { ...options, rescale: 0.7 }), { positive: 1, negative: 0 })(x, 1);
    expect([y.device.id, alive]).toEqual(['far', 2]);
  });
  it('treats every picture of a batch as if it were alone, bit for bit', async () => {
    const model: Denoiser<number> = { ...toy(), denoise: async (y, sigma, c) => float32((await floats(y)).map((v, i, all) => Math.sin(3 * v) * (i < all.length / 2 ? 1.3 : 0.4) + c * sigma), y.shape) };
    const condition = { positive: 0.1, negative: 0 };
    const pictures = [0, 1].map((k) => float32(Float32Array.from({ length: 12 }, (_, i) => Math.cos(5 * k + i) * (k ? 40 : 2)), [1, 3, 2, 2]));
    const both = float32([...pictures[0]!.data, ...pictures[1]!.data], [2, 3, 2, 2]);
    for (const extra of [{}, { rescale: 0.7 }, { threshold: { dynamic: 0.9 } }, { threshold: 'static' }] as const) {
      const D = bind(guided(model, 4, { ...options, ...extra }), condition);
      const alone = await Promise.all(pictures.map(async (picture) => [...(await floats(await D(picture, 1)))]));
      expect([...(await floats(await D(both, 1)))]).toEqual(alone.flat());
    }
  });
  it('refuses windows and thresholds that are none, at construction', () => {
    for (const window of [{ from: Number.NaN }, { from: 5, to: 1 }, { from: -1 }, { to: Number.NaN }]) expect(() => guided(toy(), 2, { window })).toThrow(OptionError);
    for (const threshold of [{ dynamic: Number.NaN }, { dynamic: 2 }, { dynamic: 0.9, limit: 0.5 }, { dynamic: 0.9, limit: Number.NaN }, 'hard' as unknown as 'static']) {
      expect(() => guided(toy(), 2, { threshold })).toThrow(OptionError);
      expect(() => thresholded(toy(), threshold)).toThrow(OptionError);
    }
  });
  it('refuses NaN', () => {
    expect(() => guided(toy(), Number.NaN)).toThrow(OptionError);
    expect(() => guided(toy(), 2, { rescale: 2 })).toThrow(OptionError);
  });
});

describe('thresholding', () => {
  it('dynamic equals the golden cases', async () => {
    expect(of('dynamic_threshold').length).toBeGreaterThan(0);
    for (const { id, args, in: input, out } of of('dynamic_threshold')) {
      const got = await floats(await dynamicThreshold(tensor(input['x']!), args['ratio'], args['max_value']));
      numbers(out['y']!).forEach((v, i) => expect(Math.abs(got[i]! - v), id).toBeLessThan(2e-6));
    }
  });
  it('static clamps', async () => expect([...(await floats(await staticThreshold(float32([-3, 0.5, 2], [1, 3]))))]).toEqual([-1, 0.5, 1]));
  it('wraps a denoiser', async () => {
    const D = bind(thresholded(toy(), 'static'), 5);
    expect([...(await floats(await D(float32([1, 2], [1, 2]), 2)))]).toEqual([1, 1]);
  });
});

describe('bind', () => {
  it('rejects NaN with where, σ and what to do', async () => {
    const bad: Denoiser<null> = { ...(toy() as unknown as Denoiser<null>), denoise: async (x) => float32([Number.NaN, 1], x.shape) };
    await expect(bind(bad, null)(float32([1, 2], [1, 2]), 0.5)).rejects.toSatisfy((e) => NonFiniteError.isInstance(e) && e.sigma === 0.5);
  });
  it('rejects with the signal’s reason', async () => {
    const reason = new Error('stop');
    await expect(bind(toy(), 0, { signal: AbortSignal.abort(reason) })(float32([1, 2], [1, 2]), 1)).rejects.toBe(reason);
  });
});

describe('residual', () => {
  it('is a change of variable', async () => {
    const up = float32([0.5, -0.25], [1, 2]);
    const inner: Denoiser<number> = { ...toy(), denoise: (r, s) => gaussian(0, 1).denoise(r, s) };
    const D = bind(residual(inner, up, 0.2), 0);
    const got = await floats(await D(float32([0.9, -0.5], [1, 2]), 0.3));
    // x = up + 0.2·r with r ~ N(0, 1): D = up + 0.04/(0.04 + 0.09)·(x − up)
    [0.5 + (0.04 / 0.13) * 0.4, -0.25 - (0.04 / 0.13) * 0.25].forEach((v, i) => expect(got[i]).toBeCloseTo(v, 6));
  });
});
