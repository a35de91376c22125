import { CapabilityError, OptionError, float32, floats, lincomb, type Device, type HostTensor, type Network, type Tensor } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { brownianNoise, dpmpp2m, edmSchedule, fromDiffusers, fromName, gridNames, karras, noised, schedulerClasses, solverNames, trainedSchedule, vpSchedule, type Noise, type Recipe, type SchedulerConfig } from './index.js';
import { nameTables } from './testing/name-tables.js';

const network: Network<null> = async (x) => float32(new Float32Array(x.shape.reduce((a, b) => a * b, 1)), x.shape);
const run = async (recipe: Recipe, noise?: Noise): Promise<Float32Array> => {
  const d = recipe.denoiser(network);
  const steps = recipe.run(Object.assign((x: Parameters<typeof d.denoise>[0], s: number) => d.denoise(x, s, null), { alpha: recipe.alpha }), float32([recipe.initialScale, -recipe.initialScale], [1, 2]), noise && { noise });
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return floats(value);
  }
};

describe('fromDiffusers', () => {
  it('reads every class with its defaults and runs it', async () => {
    for (const name of schedulerClasses) {
      const flow = name.startsWith('FlowMatch');
      const recipe = fromDiffusers({ _class_name: name, ...(name === 'DDIMInverseScheduler' && { set_alpha_to_one: false }) }, { steps: 5 });
      expect(recipe.form).toBe(flow ? 'flow' : recipe.form);
      expect((await run(recipe)).every(Number.isFinite), name).toBe(true);
    }
  });
  it('tells what a model was trained on, by the defaults of its class where the file is silent', () => {
    const ends = (config: SchedulerConfig): readonly number[] => [trainedSchedule(config).sigmas[0]!, trainedSchedule(config).sigmas.at(-1)!];
    const of = (kind: 'linear' | 'scaled_linear', start: number, end: number): readonly number[] => ends({ _class_name: 'DDIMScheduler', beta_schedule: kind, beta_start: start, beta_end: end });
    expect(ends({ _class_name: 'LCMScheduler' })).toEqual(of('scaled_linear', 0.00085, 0.012));
    expect(ends({ _class_name: 'HeunDiscreteScheduler', beta_end: 0.02 })).toEqual(of('linear', 0.00085, 0.02));
    expect(ends({ _class_name: 'FlaxDDPMScheduler' })).toEqual(of('linear', 0.0001, 0.02));
    expect(ends({ _class_name: 'GuessScheduler' })).toEqual(of('linear', 0.0001, 0.02));
    expect(trainedSchedule({ _class_name: 'DDIMScheduler', trained_betas: [0.1, 0.2, 0.3] }).sigmas).toHaveLength(3);
    expect(trainedSchedule({ _class_name: 'EulerDiscreteScheduler', rescale_betas_zero_snr: true }).sigmas.at(-1)).toBeGreaterThan(1000);
  });
  it('reads hub files, with the foreign options that they carry', async () => {
    // stable-diffusion-v1-5, SDXL base and FLUX.1-dev as they lie on the hub.
    const sd = fromDiffusers({ _class_name: 'PNDMScheduler', _diffusers_version: '0.6.0', beta_end: 0.012, beta_schedule: 'scaled_linear', beta_start: 0.00085, num_train_timesteps: 1000, set_alpha_to_one: false, skip_prk_steps: true, steps_offset: 1, trained_betas: null, clip_sample: false }, { steps: 10 });
    expect([sd.solver, sd.timesteps[0], sd.timesteps.length, [...sd.unused]]).toEqual(['pndm', 901, 11, ['clip_sample']]);
    const xl = fromDiffusers({ _class_name: 'EulerDiscreteScheduler', beta_end: 0.012, beta_schedule: 'scaled_linear', beta_start: 0.00085, clip_sample: false, interpolation_type: 'linear', num_train_timesteps: 1000, prediction_type: 'epsilon', sample_max_value: 1, set_alpha_to_one: false, skip_prk_steps: true, steps_offset: 1, timestep_spacing: 'leading', trained_betas: null, use_karras_sigmas: false }, { steps: 10 });
    expect(xl.initialScale).toBeCloseTo(8.4501, 3);
    expect(xl.unused).toEqual(['clip_sample', 'sample_max_value', 'set_alpha_to_one', 'skip_prk_steps']);
    const flux = fromDiffusers({ _class_name: 'FlowMatchEulerDiscreteScheduler', base_image_seq_len: 256, base_shift: 0.5, max_image_seq_len: 4096, max_shift: 1.15, num_train_timesteps: 1000, shift: 3, use_dynamic_shifting: true }, { sigmas: [1, 0.75, 0.5, 0.25], mu: 1.15 });
    expect(flux.sigmas[1]).toBeCloseTo(Math.exp(1.15) / (Math.exp(1.15) + 1 / 0.75 - 1), 6);
  });
  it.each([
    ['an unknown class', { _class_name: 'DPMSolverMultistepSchedulerX' }, {}, CapabilityError, /nearest: DPMSolverMultistepScheduler/],
    ['an unknown option', { _class_name: 'DDIMScheduler', beta_begin: 1 }, {}, OptionError, /beta_begin.*beta_start/s],
    ['a value of the wrong type', { _class_name: 'DDIMScheduler', beta_start: '0.1' }, {}, OptionError, /beta_start: expected a number/],
    ['an unknown prediction type', { _class_name: 'DDIMScheduler', prediction_type: 'noise' }, {}, OptionError, /prediction_type/],
    ['an unknown beta schedule', { _class_name: 'DDIMScheduler', beta_schedule: 'x' }, {}, OptionError, /beta_schedule/],
    ['two ramps', { _class_name: 'LMSDiscreteScheduler', use_karras_sigmas: true, use_beta_sigmas: true }, {}, OptionError, /only one/],
    ['noise prediction to σ = 0', { _class_name: 'DPMSolverMultistepScheduler', algorithm_type: 'dpmsolver' }, {}, CapabilityError, /sigma_min/],
    ['a learned variance', { _class_name: 'DDPMScheduler', variance_type: 'learned_range' }, {}, CapabilityError, /variance/],
    ['fixed_large_log, NaN in diffusers', { _class_name: 'DDPMScheduler', variance_type: 'fixed_large_log' }, {}, CapabilityError, /fixed_large_log/],
    ['another scheduler as predictor', { _class_name: 'UniPCMultistepScheduler', solver_p: 'x' }, {}, CapabilityError, /solver_p/],
    ['scale factors', { _class_name: 'FlowMatchLCMScheduler', scale_factors: [1, 2] }, {}, CapabilityError, /scale_factors/],
    ['an η for a class without', { _class_name: 'EulerDiscreteScheduler' }, { eta: 0.5 }, OptionError, /eta/],
    ['a missing μ', { _class_name: 'FlowMatchEulerDiscreteScheduler', use_dynamic_shifting: true }, {}, OptionError, /mu/],
    ['a μ that is not read', { _class_name: 'FlowMatchEulerDiscreteScheduler' }, { mu: 1 }, OptionError, /mu/],
    ['custom timesteps for a class without', { _class_name: 'LMSDiscreteScheduler' }, { timesteps: [999, 1] }, CapabilityError, /timesteps/],
    ['no steps', { _class_name: 'LMSDiscreteScheduler' }, { steps: 0 }, OptionError, /steps/],
    ['negative steps', { _class_name: 'DDIMScheduler' }, { steps: -3 }, OptionError, /steps/],
  ] as const)('refuses %s', (_, config, options, kind, message) => {
    const error = (() => { try { return fromDiffusers(config, 'steps' in options || 'timesteps' in options ? options : { steps: 5, ...options }); } catch (e) { return e; } })();
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toMatch(message);
  });
  it('refuses ε prediction at zero terminal SNR, and an inverse from σ = 0, when run', async () => {
    await expect(run(fromDiffusers({ _class_name: 'DDIMScheduler', rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }, { steps: 4 }))).rejects.toThrow(CapabilityError);
    await expect((async () => run(fromDiffusers({ _class_name: 'DDIMInverseScheduler' }, { steps: 4 })))()).rejects.toThrow(CapabilityError);
  });
  it('names the habits of diffusers that it reproduces', () => {
    expect(fromDiffusers({ _class_name: 'DEISMultistepScheduler', use_karras_sigmas: true }, { steps: 5 }).notes.join()).toMatch(/repeats the last σ/);
    expect(fromDiffusers({ _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 3 }, { steps: 4 }).notes.join()).toMatch(/static shift/);
    expect([...fromDiffusers({ _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 3 }, { steps: 4 }).sigmas].map((s) => s.toFixed(6))).toEqual(['1.000000', '0.857692', '0.602151', '0.008929', '0.000000']);
    expect(fromDiffusers({ _class_name: 'DDIMScheduler', timestep_spacing: 'linspace' }, { steps: 6 }).notes.join()).toMatch(/uneven/);
    expect(fromDiffusers({ _class_name: 'DPMSolverSinglestepScheduler' }, { steps: 7 }).notes.join()).toMatch(/lower_order_final/);
  });
});

describe('the noise of a recipe', () => {
  it('is one path where intervals overlap, with the config’s own seed; else the draws in turn', async () => {
    const asked = async (config: SchedulerConfig): Promise<{ draws: number; seeds: (number | undefined)[] }> => {
      const [seeds, draw]: [(number | undefined)[], Noise] = [[], (shape) => (draws++, float32([1, -1], shape))];
      let draws = 0;
      await run(fromDiffusers(config, { steps: 4 }), Object.assign(draw, { asPath: (seed?: number) => (seeds.push(seed), brownianNoise(seed ?? 3)) }));
      return { draws, seeds };
    };
    const sde = { algorithm_type: 'sde-dpmsolver++' };
    expect(await asked({ _class_name: 'DPMSolverSDEScheduler' })).toEqual({ draws: 0, seeds: [undefined] });
    expect(await asked({ _class_name: 'DPMSolverSDEScheduler', noise_sampler_seed: 5 })).toEqual({ draws: 0, seeds: [5] });
    expect(await asked({ _class_name: 'DPMSolverSinglestepScheduler', ...sde })).toEqual({ draws: 0, seeds: [undefined] });
    expect((await asked({ _class_name: 'DPMSolverMultistepScheduler', ...sde })).seeds).toEqual([]);
    expect((await asked({ _class_name: 'EulerAncestralDiscreteScheduler' })).draws).toBe(3);
    const own = { _class_name: 'DPMSolverSDEScheduler', noise_sampler_seed: 5 };
    expect(await run(fromDiffusers(own, { steps: 4 }))).toEqual(await run(fromDiffusers(own, { steps: 4 }), brownianNoise(5)));
    expect(fromDiffusers({ _class_name: 'DPMSolverSinglestepScheduler', ...sde }, { steps: 7 }).notes.join()).toMatch(/one Brownian path/);
  });
  it('stays on the picture’s device where the variance is learned', async () => {
    let alive = 0;
    const on = (host: HostTensor): Tensor<'float32'> => {
      let freed = false;
      alive++;
      return { shape: host.shape, dtype: 'float32', device: far, toHost: async () => host, dispose: () => void (freed || ((freed = true), alive--)) };
    };
    const far: Device = { id: 'far', fromHost: on, lincomb: async (terms) => on((await lincomb(...(await Promise.all(terms.map(async ([c, t]) => [c, await t.toHost()] as const))))) as HostTensor) };
    const recipe = fromDiffusers({ _class_name: 'DDPMScheduler', variance_type: 'learned_range', clip_sample: false }, { steps: 3, variance: () => float32([0.5, -0.5], [1, 2]) });
    const steps = recipe.run(Object.assign(async (x: Tensor) => on(float32((await floats(x)).map((v) => v / 2), x.shape)), { alpha: recipe.alpha }), on(float32([1, -1], [1, 2])), { noise: (shape) => on(float32([1, 2], shape)) });
    let last = await steps.next();
    while (!last.done) last = await steps.next();
    expect([last.value.device.id, alive]).toEqual(['far', 2]); // where it began and where it ended
  });
});

describe('fromName', () => {
  it('takes A1111’s and ComfyUI’s names, and ours', () => {
    expect(fromName('dpmpp_2m', 'karras').solver).toBe(dpmpp2m);
    expect(fromName('DPM++ 2M Karras').gridName).toBe('karras');
    expect(fromName('Euler a').name).toBe('eulerAncestral');
    expect(fromName('DPM++ 2M SDE Exponential')).toMatchObject({ name: 'dpmpp2mSde', gridName: 'exponential' });
    expect(fromName('dpmpp2m', 'sgmUniform').gridName).toBe('sgmUniform');
    const schedule = edmSchedule();
    expect(fromName('euler', 'karras').grid(10, schedule)).toEqual(karras(10, schedule));
    for (const { a1111, comfy } of solverNames) for (const n of [...a1111, ...comfy]) expect(fromName(n).solver).toBeTypeOf('function');
    for (const { a1111, comfy } of gridNames) for (const n of [...a1111, ...comfy]) expect(fromName('euler', n).grid(8, vpSchedule()).at(-1)).toBe(0);
  });
  it('leaves out the last but one σ where the UIs do', () => {
    const schedule = vpSchedule({ kind: 'scaled_linear', start: 0.00085, end: 0.012 });
    const grid = fromName('dpm_2', 'karras').grid(10, schedule);
    expect(grid.length).toBe(11);
    expect([...grid.subarray(0, 10)]).toEqual([...karras(11, schedule).subarray(0, 10)]);
  });
  it('names the nearest when it knows none', () => {
    expect(() => fromName('dpmpp_2n')).toThrow(/dpmpp_2m/);
    expect(() => fromName('euler', 'karas')).toThrow(/karras/);
    expect(() => fromName('res_multistep')).toThrow(CapabilityError);
  });
  it('is what the guide says', () => {
    const guide = readFileSync(new URL('../../../docs/guide/solvers.md', import.meta.url), 'utf8');
    expect(guide).toContain(nameTables());
  });
});

describe('noising, against the golden functions', () => {
  const { cases } = JSON.parse(readFileSync(new URL('../../core/golden/functions.json', import.meta.url), 'utf8')) as { cases: { id: string; args: Record<string, unknown>; in: Record<string, { data: number[]; shape: number[] }>; out: Record<string, { data: number[] }> }[] };
  const sd = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' };
  it.each(['add_noise/ddpm', 'add_noise/euler', 'add_noise/dpmsolver', 'scale_noise/flow'])('%s', async (id) => {
    const c = cases.find((q) => q.id === id)!;
    const vp = vpSchedule({ kind: 'scaled_linear', start: 0.00085, end: 0.012 });
    const flow = id === 'scale_noise/flow';
    const euler = id === 'add_noise/euler';
    const recipe = flow ? fromDiffusers({ _class_name: 'FlowMatchEulerDiscreteScheduler', shift: 3 }, { steps: 10 }) : fromDiffusers({ _class_name: euler ? 'EulerDiscreteScheduler' : 'DPMSolverMultistepScheduler', ...sd }, { steps: 10 });
    const size = c.in['x0']!.data.length / 4;
    for (let k = 0; k < 4; k++) {
      const part = (name: string): HostTensor => float32(c.in[name]!.data.slice(k * size, (k + 1) * size), [1, size]);
      const t = c.in['t']!.data[k]!;
      const sigma = id === 'add_noise/ddpm' ? Math.sqrt(1 - vp.alphasCumprod[t]!) : recipe.sigmas[recipe.timesteps.findIndex((v) => Math.abs(v - t) < 1e-3)]!;
      const y = (await noised(part('x0'), part('noise'), sigma, { alpha: id === 'add_noise/ddpm' ? (s) => Math.sqrt(1 - s * s) : recipe.alpha })) as HostTensor;
      y.data.forEach((v, i) => expect(Math.abs(v - c.out['y']!.data[k * size + i]!)).toBeLessThanOrEqual(2e-6 * Math.max(1, sigma)));
    }
  });
});
