/* Recipes of the classes that step in integer time: DDPM, DDIM and its inverse, PNDM, LCM, TCD, iPNDM. VP latents. */
import { CapabilityError, float32, floats, OptionError, ShapeError, type Tensor } from '@ediffi/core';
import { fewStepTimesteps, spacedTimesteps, type Spacing } from '../../grids/spacing.js';
import { linspace32 } from '../../math/arrays.js';
import { ddim } from '../../solvers/ddim.js';
import { ddpm } from '../../solvers/ddpm.js';
import { ipndm } from '../../solvers/ipndm.js';
import { lcm } from '../../solvers/lcm.js';
import { pndm } from '../../solvers/pndm.js';
import { seededNoise, type Noise } from '../../solvers/solver.js';
import { tcd } from '../../solvers/tcd.js';
import type { Options } from './config.js';
import { tableOf } from './grids.js';
import { boundOf, readingOf } from './network.js';
import type { FromDiffusersOptions, RecipeMaker, RecipeParts } from './recipe.js';

const f = Math.fround;

interface Clock {
  /** √(1 − ᾱ) at t; before 0: the final ᾱ. */
  readonly sigma: (t: number) => number;
  readonly total: number;
  readonly timesteps: number[];
  /** total // steps. */
  readonly stride: number;
}

function clock(options: Options, run: FromDiffusersOptions, name: string, custom: boolean, steps = run.steps): Clock {
  if (run.sigmas) throw new CapabilityError('sigmas', `${name} takes no custom sigmas`);
  if (run.timesteps && !custom) throw new CapabilityError('timesteps', `${name} takes no custom timesteps`);
  const bar = tableOf(options, false).alphasCumprod;
  const final = options['set_alpha_to_one'] === false ? bar[0]! : 1;
  const total = Number(options['num_train_timesteps']);
  run.timesteps?.forEach((t, i, all) => {
    if (!Number.isInteger(t) || t < 0 || t >= total || (i > 0 && t >= all[i - 1]!)) throw new OptionError('timesteps', t, `integers falling from below ${total} to 0 or above`);
  });
  if (steps === undefined && !run.timesteps) throw new OptionError('steps', undefined, `a number of steps for ${name}`);
  const n = run.timesteps?.length ?? steps!;
  const timesteps = run.timesteps ? [...run.timesteps] : spacedTimesteps(n, options['timestep_spacing'] as Spacing, { total, offset: Number(options['steps_offset']) });
  return { sigma: (t) => Math.sqrt(1 - (t >= 0 ? bar[Math.min(t, total - 1)]! : final)), total, timesteps, stride: Math.floor(total / n) };
}

function parts(options: Options, name: string, c: Clock, last: number, extra: Partial<RecipeParts> = {}): Omit<RecipeParts, 'solver' | 'run'> {
  const usable = c.timesteps.filter((t) => t >= 0);
  return {
    form: 'vp',
    sigmas: [...usable.map(c.sigma), last],
    times: usable,
    timesteps: c.timesteps,
    listedSigmas: [],
    initialScale: 1,
    reading: readingOf('vp', String(options['prediction_type']), name),
    ...extra,
  };
}

const uneven = 'diffusers subtracts ⌊N/n⌋ from every timestep, also from uneven ones: the latent is handed on at a σ it does not quite have; reproduced';

/** DDPMScheduler. */
export const ddpmRecipe: RecipeMaker = (options, run, name) => {
  const learned = options['variance_type'] === 'learned_range' && run.variance ? run.variance : undefined;
  const variance = { fixed_small: 'small', fixed_small_log: 'small', fixed_large: 'large', ...(learned && { learned_range: 'small' }) }[String(options['variance_type'])] as 'small' | undefined;
  if (!variance) throw new CapabilityError('variance_type', `${name}: variance_type ${String(options['variance_type'])} needs a learned variance or is not finite in diffusers — use fixed_small or fixed_large`);
  const c = clock(options, run, name, true);
  return { ...parts(options, name, c, 0, { bound: boundOf(options) }), solver: 'ddpm', run: (denoise, x, sigmas, extra) => ddpm(denoise, x, sigmas, { variance, finalNoise: c.timesteps.at(-1)! > 0, ...extra, ...(learned && { noise: learnedNoise(extra.noise ?? seededNoise(0), learned) }) }) };
};

/** Noise for a variance between β̃ (v = −1) and β (v = 1), by its logarithm: n·(σ/σ′)^((v + 1)/2), because β/β̃ = σ²/σ′². */
function learnedNoise(noise: Noise, variance: () => Tensor): Noise {
  return async (shape, sigma, sigmaNext) => {
    const drawn = await noise(shape, sigma, sigmaNext);
    const [n, v] = [await floats(drawn), await floats(variance())];
    if (n.length !== v.length) throw new ShapeError('learned variance', `${n.length} elements, as the picture has`, `${v.length}`);
    const { device } = drawn;
    drawn.dispose();
    return device.fromHost(float32(n.map((value, i) => value * (sigma / sigmaNext) ** ((v[i]! + 1) / 2)), shape));
  };
}

/** DDIMScheduler. */
export const ddimRecipe: RecipeMaker = (options, run, name) => {
  const c = clock(options, run, name, false);
  const targets = Float64Array.from(c.timesteps.filter((t) => t >= 0), (t) => c.sigma(t - c.stride));
  const made = parts(options, name, c, targets.at(-1)!);
  const even = targets.every((s, i) => s === made.sigmas[i + 1]);
  const bound = boundOf(options);
  const both = run.useClippedModelOutput === true;
  return {
    ...made,
    ...(both && { bound }),
    notes: even ? [] : [uneven],
    solver: 'ddim',
    takes: ['eta', 'useClippedModelOutput'],
    run: (denoise, x, sigmas, extra) => ddim(denoise, x, sigmas, { eta: run.eta ?? 0, ...(!even && { targets }), ...(bound && !both && { clip: bound }), ...extra }),
  };
};

/** DDIMInverseScheduler: from the picture up to noise; the network is told the time it goes to. */
export const ddimInverse: RecipeMaker = (options, run, name) => {
  const base = clock({ ...options, timestep_spacing: options['timestep_spacing'] === 'trailing' ? 'trailing' : 'leading' }, run, name, false);
  if (options['timestep_spacing'] === 'linspace') throw new CapabilityError('timestep_spacing', `${name} has no linspace spacing`);
  const timesteps = [...base.timesteps].reverse();
  const from = timesteps.map((t) => base.sigma(Math.min(t - base.stride, base.total - 1)));
  const targets = Float64Array.from(timesteps, base.sigma);
  const made = parts(options, name, { ...base, timesteps }, targets.at(-1)!);
  const even = from.every((s, i) => i === 0 || s === targets[i - 1]);
  const bound = boundOf(options);
  return {
    ...made,
    sigmas: [...from, targets.at(-1)!],
    notes: [...(even ? [] : [uneven]), 'diffusers tells the network the time it goes to, not the one it is at'],
    solver: 'ddim',
    run: (denoise, x, sigmas, extra) => {
      if (sigmas[0] === 0) throw new CapabilityError('set_alpha_to_one', `${name}: its first step leaves σ = 0, where ε is not defined by the picture — set set_alpha_to_one to false, as the hub's Stable Diffusion configs do`);
      return ddim(denoise, x, sigmas, { inverse: true, ...(!even && { targets }), ...(bound && { clip: bound }), ...extra });
    },
  };
};

/** PNDMScheduler. */
export const pndmRecipe: RecipeMaker = (options, run, name) => {
  const c = clock(options, run, name, false);
  const prediction = String(options['prediction_type']);
  if (prediction !== 'epsilon' && prediction !== 'v_prediction') throw new CapabilityError('prediction_type', `${name}: prediction_type must be epsilon or v_prediction`);
  const average = prediction === 'epsilon' ? 'epsilon' : 'v';
  const ts = c.timesteps.filter((t) => t >= 0);
  if (options['skip_prk_steps'] === true) return plms(options, name, c, ts, average, run.start ?? 0);
  if (ts.length < 4) throw new OptionError('steps', ts.length, 'at least 4 with Runge–Kutta warm-up, or skip_prk_steps');
  const { made, targets, notes } = towards(options, name, c, ts);
  const half = Math.floor(c.stride / 2);
  const prk = ts.slice(0, 3).flatMap((t, i) => [t, ts[i + 1]! + half, ts[i + 1]! + half, ts[i + 1]!]);
  const middle = new Map(ts.slice(0, 3).map((t, i) => [c.sigma(t), { to: c.sigma(t - half), at: ts[i + 1]! + half }]));
  const timeAt = new Map([...middle.values()].map(({ at }) => [c.sigma(at), at]));
  return {
    ...made,
    timesteps: [...prk, ...ts.slice(3)],
    between: (sigma) => timeAt.get(sigma) ?? ts.at(-1)!,
    notes,
    solver: 'pndm',
    run: (denoise, x, sigmas, extra) => pndm(denoise, x, sigmas, { average, ...(targets && { targets }), between: (sigma) => [middle.get(sigma)!.to, c.sigma(middle.get(sigma)!.at)], ...extra }),
  };
};

/** Timesteps as a grid, with the σ that diffusers really goes to where they are uneven. */
function towards(options: Options, name: string, c: Clock, timesteps: readonly number[]): { made: ReturnType<typeof parts>; targets?: Float64Array; notes: string[] } {
  const targets = Float64Array.from(timesteps, (t) => c.sigma(t - c.stride));
  const made = parts(options, name, { ...c, timesteps: [...timesteps] }, targets.at(-1)!);
  const even = targets.every((s, i) => s === made.sigmas[i + 1]);
  return { made, ...(!even && { targets }), notes: even ? [] : [uneven] };
}

/** PNDM without Runge–Kutta: diffusers lists the second timestep twice, and started from the `start`-th entry pairs whichever two come first. */
function plms(options: Options, name: string, c: Clock, ts: readonly number[], average: 'epsilon' | 'v', start: number): RecipeParts {
  const list = (ts.length === 1 ? [...ts] : [ts[0]!, ts[1]!, ts[1]!, ...ts.slice(2)]).slice(start);
  const [first, second, ...rest] = list;
  if (first === undefined) throw new OptionError('start', start, `less than the ${ts.length} timesteps`);
  const steps = second === undefined ? [first] : [first, ...(rest.length ? rest : [second])];
  const { made, targets, notes } = towards(options, name, c, steps);
  const [to, end] = second === undefined ? ['none' as const, made.sigmas] : [c.sigma(second), rest.length ? made.sigmas : made.sigmas.slice(0, 2)];
  const uneven = targets ?? (second !== undefined && start > 0 ? Float64Array.from(steps, (t) => c.sigma(t - c.stride)) : undefined);
  return {
    ...made,
    sigmas: end,
    times: steps.slice(0, end.length - 1),
    ...(second !== undefined && { further: [c.sigma(second)], between: (sigma: number) => (sigma === c.sigma(second) ? second : steps.at(-1)!) }),
    timesteps: list,
    started: true,
    notes: [...notes, ...(start > 1 ? ['diffusers, started in the middle of its list, takes the picture after the first two calls for one at the third timestep; reproduced'] : [])],
    solver: 'pndm',
    run: (denoise, x, sigmas, extra) => pndm(denoise, x, sigmas, { skipPrk: true, average, pair: to, ...(uneven && { targets: uneven }), ...(second !== undefined && { secondFrom: c.sigma(second + c.stride) }), ...extra }),
  };
}

function distilled(options: Options, run: FromDiffusersOptions, name: string): Clock {
  const total = Number(options['num_train_timesteps']);
  const { strength = 1 } = run;
  let timesteps = run.timesteps;
  if (timesteps) timesteps = timesteps.slice(Math.max(timesteps.length - Math.min(Math.floor(timesteps.length * strength), timesteps.length), 0));
  else if (run.steps === undefined) throw new OptionError('steps', undefined, `a number of steps for ${name}`);
  else if (name === 'TCDScheduler' && run.originalSteps !== undefined) timesteps = fewStepTimesteps(run.steps, { total, original: total, strength });
  else timesteps = fewStepTimesteps(run.steps, { total, original: run.originalSteps ?? Number(options['original_inference_steps']), strength });
  return clock(options, { ...run, timesteps }, name, true);
}

/** LCMScheduler. */
export const lcmRecipe: RecipeMaker = (options, run, name) => {
  const c = distilled(options, run, name);
  const scaling = Number(options['timestep_scaling']);
  const times = new Map(c.timesteps.map((t) => [c.sigma(t), t * scaling]));
  const boundary = (sigma: number): { skip: number; out: number } => {
    const t = times.get(sigma)!;
    return { skip: 0.25 / (t * t + 0.25), out: t / Math.sqrt(t * t + 0.25) };
  };
  return { ...parts(options, name, c, 0, { bound: boundOf(options), boundary }), solver: 'lcm', run: lcm };
};

/** TCDScheduler. Its thresholding and clip_sample options exist, but diffusers never applies them. */
export const tcdRecipe: RecipeMaker = (options, run, name) => {
  if (options['thresholding'] || options['clip_sample']) throw new CapabilityError('clip_sample', `${name}: diffusers has thresholding and clip_sample in the config but never applies them — set them to false`);
  const c = distilled(options, run, name);
  const eta = run.eta ?? 0.3;
  const below = new Map([...c.timesteps.slice(1), 0].map((t) => [c.sigma(t), c.sigma(Math.floor((1 - eta) * t))]));
  return { ...parts(options, name, c, c.sigma(0)), solver: 'tcd', takes: ['eta'], run: (denoise, x, sigmas, extra) => tcd(denoise, x, sigmas, { eta, intermediate: (s) => below.get(s)!, ...extra }) };
};

/** IPNDMScheduler. */
export const ipndmRecipe: RecipeMaker = (options, run, name) => {
  if (run.timesteps || run.sigmas || run.steps === undefined) throw new CapabilityError('timesteps', `${name} takes a number of steps only`);
  const ramp = [...linspace32(1, 0, run.steps + 1)].slice(0, -1).concat(0);
  const own = options['trained_betas'] as readonly number[] | null;
  const sigmas = own ? [...own] : ramp.map((s) => f(f(Math.sin(f(f(s * Math.PI) / 2))) ** 2));
  const alphas = sigmas.map((b) => f(Math.sqrt(f(1 - f(b * b)))));
  const times = sigmas.slice(0, -1).map((b, i) => f((f(Math.atan2(b, alphas[i]!)) / Math.PI) * 2));
  return {
    solver: 'ipndm',
    form: 'vp',
    sigmas,
    times,
    timesteps: times,
    listedSigmas: sigmas,
    initialScale: 1,
    reading: readingOf('vp', 'v_prediction', name),
    notes: ['diffusers reads the answer as v, and where α < 1e−8 (the first step) loses D'],
    run: (denoise, x, s, extra) => ipndm(denoise, x, s, { alphaFloor: 1e-8, ...extra }),
  };
};
