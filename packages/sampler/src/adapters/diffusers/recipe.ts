import { integer, OptionError, type Denoise, type Denoiser, type Network, type Tensor } from '@ediffi/core';
import type { Noise, Resume, Step } from '../../solvers/solver.js';
import type { Options, SchedulerClass } from './config.js';
import type { RunOptions } from './grids.js';
import { alphaOf, denoiserOf, type Form, type NetworkPlan } from './network.js';

/** Arguments of a diffusers `step`, as far as the class has them. Others are refused. */
export interface StepOptions {
  readonly eta?: number;
  readonly churn?: number;
  readonly churnMin?: number;
  readonly churnMax?: number;
  readonly noiseScale?: number;
  /** LMS. */
  readonly order?: number;
  /** DDIM: ε from the clipped picture too. */
  readonly useClippedModelOutput?: boolean;
}

/** Everything a scheduler_config.json and a number of steps determine: grid, schedule and solver, ready to run. */
export interface Recipe {
  /** diffusers' class. */
  readonly name: SchedulerClass;
  /** Name of our solver. */
  readonly solver: string;
  readonly form: Form;
  /** The solver's grid, in the form's σ. */
  readonly sigmas: Float64Array;
  /** What diffusers' `timesteps` and `sigmas` hold after set_timesteps. */
  readonly timesteps: readonly number[];
  readonly listedSigmas: readonly number[];
  /** Start at initialScale·n, n standard normal: diffusers' init_noise_sigma. */
  readonly initialScale: number;
  /** Habits of diffusers that are reproduced here. */
  readonly notes: readonly string[];
  /** Options of other classes in the file; diffusers does not read them either. */
  readonly unused: readonly string[];
  alpha(sigma: number): number;
  /** The number the network is told at σ. */
  timestep(sigma: number): number;
  /** The raw network as a Denoiser on the form's latents. */
  denoiser<C>(network: Network<C>): Denoiser<C>;
  /** Runs the solver with the config's options. */
  run(denoise: Denoise, x: Tensor, options?: { readonly noise?: Noise; readonly resume?: Resume }): AsyncGenerator<Step, Tensor, void>;
}

/** What `fromDiffusers` is told besides the config. */
export type FromDiffusersOptions = RunOptions & StepOptions & {
  /** DDPM with variance_type learned_range: what the network's last answer says about it, −1 … 1, in the picture's shape. */
  readonly variance?: () => Tensor;
};

/** A class's part of a recipe. `times`: the network's timestep at each grid σ but the last. */
export interface RecipeParts {
  readonly solver: string;
  readonly form: Form;
  readonly sigmas: readonly number[];
  readonly times: readonly number[];
  readonly timesteps: readonly number[];
  readonly listedSigmas: readonly number[];
  readonly initialScale: number;
  readonly notes?: readonly string[];
  readonly reading: NetworkPlan['reading'];
  readonly bound?: NetworkPlan['bound'];
  readonly boundary?: NetworkPlan['boundary'];
  /** σ beyond the grid at which the network is called too. */
  readonly further?: readonly number[];
  /** The timestep of a σ between grid points. */
  readonly between?: (sigma: number) => number;
  readonly run: (denoise: Denoise, x: Tensor, sigmas: Float64Array, options: { readonly noise?: Noise; readonly resume?: Resume; readonly planned?: number }) => AsyncGenerator<Step, Tensor, void>;
  /** The last σ stands twice on purpose: its step corrects. */
  readonly correctsLast?: boolean;
  /** The grid begins where `start` says; otherwise `assemble` cuts it. */
  readonly started?: boolean;
  /** The step options this class honours. */
  readonly takes?: readonly (keyof StepOptions)[];
}

/** A class: its options and how it is to run → its part of the recipe. */
export type RecipeMaker = (options: Options, run: FromDiffusersOptions, name: SchedulerClass) => RecipeParts;

const stepKeys = ['eta', 'churn', 'churnMin', 'churnMax', 'noiseScale', 'order', 'useClippedModelOutput'] as const;

/** Puts a recipe together. Throws OptionError for a step option the class does not have. */
export function assemble(name: SchedulerClass, unused: readonly string[], parts: RecipeParts, run: FromDiffusersOptions): Recipe {
  for (const key of stepKeys) if (run[key] !== undefined && !parts.takes?.includes(key)) throw new OptionError(key, run[key], `nothing: ${name} has no such option`);
  const notes = [...(parts.notes ?? [])];
  const grid = [...parts.sigmas];
  const down = grid.length < 2 || grid[1]! < grid[0]!;
  const idle = (a: number, b: number): boolean => (down ? b >= a : b <= a);
  const planned = grid.length - 1;
  if (!parts.correctsLast && grid.length > 2 && idle(grid[grid.length - 2]!, grid[grid.length - 1]!)) {
    grid.pop();
    notes.push('diffusers repeats the last σ: its last step calls the network and changes nothing; it is left out');
  }
  if (grid.length > 2 && idle(grid[0]!, grid[1]!)) {
    grid.shift();
    notes.push('diffusers repeats the first σ: its first step calls the network and changes nothing; it is left out');
  }
  const start = parts.started ? 0 : integer('start', run.start ?? 0, 0, Math.max(0, grid.length - 2));
  const times = new Map<number, number>();
  parts.times.forEach((t, i) => times.set(parts.sigmas[i]!, t)); // of two equal σ at the start the second, at the end it does not matter
  const whole = Float64Array.from(grid);
  const sigmas = whole.slice(start);
  const timestep = (sigma: number): number => times.get(sigma) ?? parts.between?.(sigma) ?? parts.times.at(-1)!;
  const positive = [...parts.sigmas, ...(parts.further ?? [])].filter((s) => s > 0);
  const alpha = alphaOf[parts.form];
  return {
    name,
    solver: parts.solver,
    form: parts.form,
    sigmas,
    timesteps: start > 0 ? parts.timesteps.slice(parts.timesteps.length > parts.times.length ? 2 * start : start) : parts.timesteps,
    listedSigmas: parts.listedSigmas,
    initialScale: parts.initialScale,
    notes,
    unused,
    alpha,
    timestep,
    denoiser: (network) => denoiserOf(network, { form: parts.form, range: [Math.min(...positive), Math.max(...positive)], reading: parts.reading, timestep, bound: parts.bound, boundary: parts.boundary }),
    run: (denoise, x, options = {}) => parts.run(denoise, x, whole, { ...(start > 0 && { resume: { index: start } }), ...options, ...(planned !== whole.length - 1 && { planned }) }),
  };
}
