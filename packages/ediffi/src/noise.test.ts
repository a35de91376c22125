/* Where a stage's solver draws from: solvers whose intervals overlap get one Brownian path per picture, the others the generators in turn. */
import { lincomb, type Denoiser, type Device, type HostTensor, type Tensor } from '@ediffi/core';
import { gaussian } from '@ediffi/core/testing';
import { ortNode } from '@ediffi/backends/ort-node';
import { dpmppSde, dpmSinglestep, eulerAncestral, type Solver } from '@ediffi/sampler';
import { afterAll, describe, expect, it } from 'vitest';
import { Pipeline, type BatchOptions, type GenerateOptions } from './index.js';
import { fixture } from './testing/parity.js';

/** Pictures of independent pixels, N(0, 0.5²). */
const denoiser: Denoiser = { sigmaMin: 0.02, sigmaMax: 80, alpha: () => 1, denoise: (x, sigma) => gaussian(0, 0.5).denoise(x, sigma), dispose: async () => undefined };
const pipeline = new Pipeline({ encoders: {}, base: { name: 'base', denoiser, size: 32, multiple: 4 } });
const settings = { steps: 20, grid: 'karras', guidance: { scale: 1, threshold: 'none' } } as const;
const deviation = ({ data }: HostTensor): number => Math.sqrt(data.reduce((sum, v) => sum + v * v, 0) / data.length);
const sde: Solver = (denoise, x, sigmas, options) => dpmSinglestep(denoise, x, sigmas, { ...options, algorithm: 'sde-dpmsolver++', order: 2 });

describe('noise of overlapping intervals', () => {
  // 3072 pixels: 4.5 standard errors are 0.029. Independent draws give 0.41 and 0.37.
  it.each([['dpmppSde', dpmppSde, 0.484], ['singlestep sde-dpmsolver++', sde, 0.45]] as const)('keeps the contrast of the picture: %s', async (_, solver, wanted) => {
    const { tensor } = await pipeline.generate('', { ...settings, seed: 7, solver });
    expect(Math.abs(deviation(tensor) - wanted)).toBeLessThan(0.029);
  });

  it('is each picture’s own: another seed paints another, alone or in a batch', async () => {
    for (const solver of [dpmppSde, sde, eulerAncestral] as const) {
      const options: BatchOptions = { ...settings, steps: 4, seed: [7, 8], solver };
      const both = await pipeline.generate('', options);
      for (const [i, seed] of [7, 8].entries()) expect([...(await pipeline.generate('', { ...options, seed } as GenerateOptions)).tensor.data]).toEqual([...both[i]!.tensor.data]);
      expect([...both[0]!.tensor.data]).not.toEqual([...both[1]!.tensor.data]);
    }
  });
});

describe('noise on a device', () => {
  it('is put where the picture is', async () => {
    const on = (host: HostTensor): Tensor<'float32'> => ({ shape: host.shape, dtype: 'float32', device: far, toHost: async () => host, dispose: () => undefined });
    const far: Device = { id: 'far', fromHost: on, lincomb: async (terms) => on((await lincomb(...(await Promise.all(terms.map(async ([c, t]) => [c, await t.toHost()] as const))))) as HostTensor) };
    const { parts } = pipeline;
    const there = new Pipeline({ ...parts, device: far, base: { ...parts.base, denoiser: { ...denoiser, denoise: async (x, sigma, ...rest) => on((await denoiser.denoise(x, sigma, ...rest)) as HostTensor) } } });
    const options = { ...settings, steps: 3, seed: 7, solver: dpmppSde };
    expect((await there.generate('', options)).tensor.data).toEqual((await pipeline.generate('', options)).tensor.data);
  });
});

describe('noise of hub schedulers', () => {
  const backend = ortNode();
  afterAll(() => backend.dispose());
  it('noise_sampler_seed is the path of every picture; without it each has its own', async () => {
    const model = await Pipeline.open(fixture('sd15'), { backend });
    const paint = async (seed: number, own?: number): Promise<number[]> => {
      const scheduler = { _class_name: 'DPMSolverSDEScheduler', beta_schedule: 'scaled_linear', ...(own !== undefined && { noise_sampler_seed: own }) };
      return [...(await model.generate('a cat', { seed, steps: 2, width: 64, height: 64, scheduler })).tensor.data];
    };
    const [one, other, again] = [await paint(1, 5), await paint(1, 6), await paint(1, 5)];
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
    expect(await paint(1)).not.toEqual(one);
    await model.dispose();
  });
});
