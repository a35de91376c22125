import type { ExpertEnsemble, Network } from '@ediffi/core';
import type { SchedulerConfig } from '@ediffi/sampler';
import { describe, expect, it } from 'vitest';
import { cutAt } from './cut.js';
import { families } from './families.js';
import type { Told } from './network.js';
import { scheduling } from './schedule.js';

const unused = (): never => expect.unreachable('grids call no network');
const ensemble = { at: unused } as unknown as ExpertEnsemble<Told>;
/** What a scheduler makes of steps and a share of them, for a pipeline of diffusers'. */
const recipeOf = (pipeline: string, config: SchedulerConfig, steps: number, share = 1): ReturnType<ReturnType<typeof scheduling>>['recipe'] =>
  scheduling({ family: families[pipeline]!, config, ensemble, network: unused as unknown as () => Network, factor: 8 })({ steps, width: 512, height: 512, share }).recipe;

const betas = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' };

describe('strength', () => {
  it.each([[100, 0.29, 28], [50, 0.58, 28], [90, 0.7, 62], [100, 0.57, 56], [10, 0.6, 6], [10, 0.05, 1]])('of %i steps, %f keeps ⌊n·s⌋ as Python’s int(n*s) counts, at least one: %i', (steps, share, kept) => {
    expect(recipeOf('StableDiffusionPipeline', { _class_name: 'EulerDiscreteScheduler', ...betas }, steps, share).sigmas).toHaveLength(kept + 1);
  });

  it.each([[100, 0.29, 29], [100, 0.57, 57], [28, 0.6, 17]])('of %i steps of SD3, %f leaves out int(n - n*s): %i run', (steps, share, kept) => {
    expect(recipeOf('StableDiffusion3Pipeline', { _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 3 }, steps, share).sigmas).toHaveLength(kept + 1);
  });

  it('of a latent consistency model: all steps, within the first timesteps that distillation trained', () => {
    for (const name of ['LCMScheduler', 'TCDScheduler']) {
      const config = { _class_name: name, ...betas };
      // set_timesteps(4, original_inference_steps=50, strength=0.6) of diffusers 0.42: 30 of the 50, every 7.5th.
      expect(recipeOf('LatentConsistencyModelImg2ImgPipeline', config, 4, 0.6).timesteps).toEqual([599, 459, 299, 159]);
      expect(recipeOf('LatentConsistencyModelPipeline', config, 4).timesteps).toEqual([999, 759, 499, 259]);
      expect(recipeOf('StableDiffusionPipeline', config, 4, 0.6).timesteps).toEqual([499, 259]); // distilled into a LoRA: as its own pipeline counts
    }
    expect(recipeOf('LatentConsistencyModelPipeline', { _class_name: 'DDIMScheduler', ...betas }, 10, 0.6).timesteps).toHaveLength(6);
    expect(() => recipeOf('LatentConsistencyModelPipeline', { _class_name: 'LCMScheduler', ...betas }, 4, 0.05)).toThrow(/steps: expected .* 1 .* 2/);
  });
});

describe('FLUX under another flow scheduler', () => {
  const flow = { use_flow_sigmas: true, prediction_type: 'flow_prediction', flow_shift: 3 };
  // diffusers 0.42, set_timesteps(4): of linspace(1, 1/1000, 5) UniPC shifts the first four, the others 1 minus the last four.
  const [unipc, others] = [[1, 0.9001, 0.7504, 0.501], [0.99967, 0.89964, 0.74962, 0.49967]];
  it.each([['UniPCMultistepScheduler', unipc], ['DPMSolverMultistepScheduler', others], ['DEISMultistepScheduler', others], ['SASolverScheduler', others]] as const)('%s makes its own σ', (name, wanted) => {
    const sigmas = [...recipeOf('FluxPipeline', { _class_name: name, ...flow }, 4).sigmas];
    wanted.forEach((sigma, i) => expect(sigmas[i]).toBeCloseTo(sigma, 4));
  });

  it('FlowMatchHeunDiscreteScheduler too; Euler takes the pipeline’s 1 … 1/n', () => {
    expect([...recipeOf('FluxPipeline', { _class_name: 'FlowMatchHeunDiscreteScheduler', shift: 3 }, 4).sigmas][0]).toBe(1);
    expect([...recipeOf('FluxPipeline', { _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 1 }, 4).sigmas]).toEqual([1, 0.75, 0.5, 0.25, 0]);
  });
});

describe('a cut', () => {
  it('is at the σ of the timestep, of the model’s own table where it has one', () => {
    const own = Array.from({ length: 1000 }, (_, i) => 1e-4 + 1e-5 * i);
    const bar = own.slice(0, 201).reduce((product, beta) => product * (1 - beta), 1); // ᾱ of the timestep 200: a share of 0.8 was done before
    expect(cutAt(0.8, { trained_betas: own }) / Math.sqrt((1 - bar) / bar)).toBeCloseTo(1, 4);
    expect(cutAt(0.8, betas)).not.toBeCloseTo(cutAt(0.8, { ...betas, trained_betas: own }), 2);
  });
});
