/* Recipes of the classes that step in σ: Euler, Euler ancestral, LMS, Heun, KDPM2, DPM-SDE, EDM Euler, EDM DPM-Solver, consistency. */
import { CapabilityError, staticThreshold } from '@ediffi/core';
import { pathOf } from '../../noise/brownian.js';
import { consistency } from '../../solvers/consistency.js';
import { dpmMultistep } from '../../solvers/dpm-multistep.js';
import { dpm2 } from '../../solvers/dpm2.js';
import { dpm2Ancestral } from '../../solvers/dpm2-ancestral.js';
import { dpmppSde } from '../../solvers/dpmpp-sde.js';
import { euler } from '../../solvers/euler.js';
import { eulerAncestral } from '../../solvers/euler-ancestral.js';
import { heun } from '../../solvers/heun.js';
import { lms } from '../../solvers/lms.js';
import type { Options } from './config.js';
import { edmFamily, sigmaFamily, tableOf } from './grids.js';
import { lateChurn } from './late-churn.js';
import { boundOf, readingOf } from './network.js';
import type { FromDiffusersOptions, RecipeMaker, StepOptions } from './recipe.js';

const f = Math.fround;
const picked = (run: FromDiffusersOptions, ...keys: (keyof StepOptions)[]): object => Object.fromEntries(keys.filter((k) => run[k] !== undefined).map((k) => [k, run[k]]));
const twice = (values: readonly number[]): number[] => values.flatMap((v, i) => (i === 0 ? [v] : [v, v]));

function discrete(options: Options, run: FromDiffusersOptions, name: string): Pick<ReturnType<RecipeMaker>, 'form' | 'sigmas' | 'times' | 'timesteps' | 'listedSigmas' | 'initialScale' | 'reading' | 'between'> {
  const table = tableOf(options, true);
  const grid = sigmaFamily(options, run, table, name);
  const continuous = options['timestep_type'] === 'continuous' && options['prediction_type'] === 'v_prediction';
  const times = continuous ? grid.sigmas.slice(0, -1).map((s) => f(0.25 * f(Math.log(s)))) : grid.timesteps.map(f);
  const top = grid.sigmas.reduce((a, b) => Math.max(a, b));
  return {
    form: 've',
    sigmas: grid.sigmas.slice(0, times.length + 1),
    times,
    timesteps: times,
    listedSigmas: grid.sigmas,
    initialScale: options['timestep_spacing'] === 'leading' ? Math.sqrt(top * top + 1) : top,
    reading: readingOf('ve', String(options['prediction_type']), name),
    between: (sigma) => table.timestep(sigma),
  };
}

/** EulerDiscreteScheduler. */
export const eulerDiscrete: RecipeMaker = (options, run, name) => {
  const base = discrete(options, run, name);
  const prediction = String(options['prediction_type']);
  const again = (sigma: number, higher: number): { skip: number; out: number } => (prediction === 'epsilon' ? { skip: 1, out: -higher } : base.reading(sigma));
  const churn = picked(run, 'churn', 'churnMin', 'churnMax', 'noiseScale');
  return {
    ...base,
    solver: 'euler',
    takes: ['churn', 'churnMin', 'churnMax', 'noiseScale'],
    notes: run.churn ? ['diffusers stirs after the network call: the answer at (x, σ) is used at (x̂, σ̂)'] : [],
    run: (denoise, x, sigmas, extra) => (run.churn ? lateChurn(denoise, x, sigmas, base.reading, again, { ...churn, ...extra }) : euler(denoise, x, sigmas, extra)),
  };
};

/** EulerAncestralDiscreteScheduler. */
export const eulerAncestralDiscrete: RecipeMaker = (options, run, name) => ({ ...discrete(options, run, name), solver: 'eulerAncestral', run: eulerAncestral });

/** LMSDiscreteScheduler. */
export const lmsDiscrete: RecipeMaker = (options, run, name) => ({ ...discrete(options, run, name), solver: 'lms', takes: ['order'], run: (denoise, x, sigmas, extra) => lms(denoise, x, sigmas, { ...picked(run, 'order'), ...extra }) });

/** HeunDiscreteScheduler. */
export const heunDiscrete: RecipeMaker = (options, run, name) => {
  const base = discrete(options, run, name);
  return { ...base, solver: 'heun', timesteps: twice(base.timesteps), listedSigmas: [...twice(base.listedSigmas.slice(0, -1)), 0], bound: boundOf(options), run: heun };
};

function middles(base: ReturnType<typeof discrete>, mid: (sigma: number, sigmaNext: number) => number): number[] {
  return base.sigmas.slice(0, -1).flatMap((s, i) => (i + 2 < base.sigmas.length ? [base.times[i]!, base.between!(mid(s, base.sigmas[i + 1]!))] : [base.times[i]!]));
}

/** KDPM2DiscreteScheduler. */
export const kdpm2: RecipeMaker = (options, run, name) => {
  const base = discrete(options, run, name);
  return { ...base, solver: 'dpm2', timesteps: middles(base, (s, t) => Math.sqrt(s * t)), listedSigmas: [...twice(base.listedSigmas), 0], run: dpm2 };
};

/** KDPM2AncestralDiscreteScheduler. */
export const kdpm2Ancestral: RecipeMaker = (options, run, name) => {
  const base = discrete(options, run, name);
  // √(σ·σ_down) with σ_down = σ′²/σ (η = 1) is σ′ itself: the middle is where the step ends.
  return { ...base, solver: 'dpm2Ancestral', timesteps: middles(base, (_, t) => t), listedSigmas: [...twice(base.listedSigmas), 0], run: dpm2Ancestral };
};

/** DPMSolverSDEScheduler. */
export const dpmSde: RecipeMaker = (options, run, name) => {
  const base = discrete(options, run, name);
  const given = options['noise_sampler_seed'];
  const seed = given === null ? undefined : Number(given);
  return {
    ...base,
    solver: 'dpmppSde',
    takes: ['noiseScale'],
    timesteps: middles(base, (s, t) => Math.sqrt(s * t)),
    listedSigmas: [...twice(base.listedSigmas.slice(0, -1)), 0],
    run: (denoise, x, sigmas, extra) => dpmppSde(denoise, x, sigmas, { ...picked(run, 'noiseScale'), ...extra, noise: pathOf(extra.noise, seed) }),
  };
};

function edm(options: Options, run: FromDiffusersOptions, name: string): ReturnType<typeof discrete> & { sign: number; data: number } {
  const grid = edmFamily(options, run, name);
  const data = Number(options['sigma_data']);
  const prediction = String(options['prediction_type']);
  if (prediction !== 'epsilon' && prediction !== 'v_prediction') throw new CapabilityError('prediction_type', `${name}: prediction_type ${prediction} is not defined for this class`);
  const sign = prediction === 'epsilon' ? 1 : -1;
  return {
    form: 've',
    sigmas: grid.sigmas,
    times: grid.timesteps,
    timesteps: grid.timesteps,
    listedSigmas: grid.sigmas,
    initialScale: Math.sqrt(Number(options['sigma_max']) ** 2 + 1),
    reading: (s) => ({ in: 1 / Math.hypot(s, data), skip: data ** 2 / (s * s + data ** 2), out: (sign * s * data) / Math.hypot(s, data) }),
    between: (sigma) => Math.log(sigma) / 4,
    sign,
    data,
  };
}

/** EDMEulerScheduler. */
export const edmEuler: RecipeMaker = (options, run, name) => {
  const { sign: _, data: __, ...base } = edm(options, run, name);
  const churn = picked(run, 'churn', 'churnMin', 'churnMax', 'noiseScale');
  return {
    ...base,
    solver: 'euler',
    takes: ['churn', 'churnMin', 'churnMax', 'noiseScale'],
    notes: [...(run.sigmas ? ['diffusers reads `sigmas` as positions 0…1 on the ramp'] : []), ...(run.churn ? ['diffusers stirs after the network call'] : [])],
    run: (denoise, x, sigmas, extra) => (run.churn ? lateChurn(denoise, x, sigmas, base.reading, (_s, higher) => base.reading(higher), { ...churn, ...extra }) : euler(denoise, x, sigmas, extra)),
  };
};

/** EDMDPMSolverMultistepScheduler. */
export const edmDpm: RecipeMaker = (options, run, name) => {
  const { sign: _, data: __, ...base } = edm(options, run, name);
  return { ...base, solver: 'dpmMultistep', bound: boundOf(options), run: (denoise, x, sigmas, extra) => dpmMultistep(denoise, x, sigmas, { ...dpmMultistepOptions(options, base.timesteps.length), ...extra }) };
};

/** Options of our multistep DPM-Solver from a config. Throws CapabilityError for algorithms and types diffusers does not have. */
export function dpmMultistepOptions(options: Options, steps: number): Parameters<typeof dpmMultistep>[3] & object {
  const algorithm = options['algorithm_type'] === 'deis' ? 'dpmsolver++' : String(options['algorithm_type']);
  const type = ['logrho', 'bh1', 'bh2'].includes(String(options['solver_type'])) ? 'midpoint' : String(options['solver_type']);
  if (algorithm === 'sde-dpmsolver' && options['solver_order'] === 3) throw new CapabilityError('solver_order', 'diffusers has no third-order sde-dpmsolver — use sde-dpmsolver++, or our dpmMultistep directly');
  if (!algorithm.endsWith('++') && options['final_sigmas_type'] === 'zero') throw new CapabilityError('final_sigmas_type', `${algorithm} predicts noise, which is not defined at σ = 0 — set final_sigmas_type to sigma_min`);
  return {
    algorithm: algorithm as 'dpmsolver',
    type: type as 'midpoint',
    order: Number(options['solver_order']),
    lowerOrderFinal: options['lower_order_final'] === true && steps < 15,
    eulerAtFinal: options['euler_at_final'] === true,
    asDiffusers: true,
  };
}

/** CMStochasticIterativeScheduler. */
export const cm: RecipeMaker = (options, run, name) => {
  const [total, low, high, data, rho] = ['num_train_timesteps', 'sigma_min', 'sigma_max', 'sigma_data', 'rho'].map((k) => Number(options[k])) as [number, number, number, number, number];
  const n = run.timesteps?.length ?? run.steps ?? 1;
  if (run.sigmas) throw new CapabilityError('sigmas', `${name} takes no custom sigmas`);
  const indices = run.timesteps ? [...run.timesteps] : Array.from({ length: n }, (_, i) => (n - 1 - i) * Math.floor(total / n));
  const sigmas = [...indices].reverse().map((i) => (high ** (1 / rho) + (i / (total - 1)) * (low ** (1 / rho) - high ** (1 / rho))) ** rho);
  const times = sigmas.map((s) => 250 * Math.log(s));
  const grid = [...sigmas, low].map(f);
  return {
    solver: 'consistency',
    form: 've',
    sigmas: grid,
    times,
    timesteps: times,
    listedSigmas: grid,
    initialScale: high,
    reading: (s) => ({ in: 1 / Math.hypot(s, data), skip: data ** 2 / ((s - low) ** 2 + data ** 2), out: ((s - low) * data) / Math.hypot(s, data) }),
    ...(options['clip_denoised'] && { bound: (x) => staticThreshold(x, 1) }),
    run: (denoise, x, s, extra) => consistency(denoise, x, s, { sigmaMin: n > 1 ? low : f(low), noiseScale: Number(options['s_noise']), ...extra }),
  };
};

