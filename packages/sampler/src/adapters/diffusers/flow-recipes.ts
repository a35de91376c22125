/* Recipes of the flow-matching classes. Flow latents x = (1 − σ)·x₀ + σ·n. */
import { CapabilityError } from '@ediffi/core';
import { euler } from '../../solvers/euler.js';
import { heun } from '../../solvers/heun.js';
import { lcm } from '../../solvers/lcm.js';
import type { Options } from './config.js';
import { flowFamily } from './grids.js';
import { readingOf } from './network.js';
import type { FromDiffusersOptions, RecipeMaker, RecipeParts } from './recipe.js';

const double = 'diffusers applies a static shift to its table and again to the steps’ σ; reproduced';

function base(options: Options, run: FromDiffusersOptions, name: string): Omit<RecipeParts, 'solver' | 'run'> {
  const grid = flowFamily(options, run, name);
  const total = Number(options['num_train_timesteps']);
  const inverted = options['invert_sigmas'] === true;
  const timesteps = inverted ? grid.sigmas.slice(0, -1).map((s) => Math.fround(Math.fround(1 - s) * total)) : grid.timesteps;
  return {
    form: 'flow',
    sigmas: grid.sigmas,
    times: timesteps,
    timesteps,
    listedSigmas: inverted ? grid.sigmas.map((s) => Math.fround(1 - s)) : grid.sigmas,
    initialScale: 1,
    // Inverted: the network is told 1 − σ and answers x₀ − n.
    reading: inverted ? (s) => ({ in: 1, skip: 1, out: s }) : readingOf('flow', 'flow_prediction', name),
    between: (sigma) => (inverted ? 1 - sigma : sigma) * total,
    notes: options['use_dynamic_shifting'] !== true && options['shift'] !== 1 ? [double] : [],
  };
}

/** FlowMatchEulerDiscreteScheduler. */
export const flowEuler: RecipeMaker = (options, run, name) => {
  const stochastic = options['stochastic_sampling'] === true;
  return { ...base(options, run, name), solver: stochastic ? 'lcm' : 'euler', run: stochastic ? lcm : euler };
};

/** FlowMatchHeunDiscreteScheduler. */
export const flowHeun: RecipeMaker = (options, run, name) => {
  const parts = base(options, run, name);
  const twice = (values: readonly number[]): number[] => values.flatMap((v, i) => (i === 0 ? [v] : [v, v]));
  return { ...parts, timesteps: twice(parts.timesteps), listedSigmas: [...twice(parts.listedSigmas.slice(0, -1)), 0], solver: 'heun', run: heun };
};

/** FlowMatchLCMScheduler. */
export const flowLcm: RecipeMaker = (options, run, name) => {
  if (options['scale_factors']) throw new CapabilityError('scale_factors', `${name}: scale_factors enlarge the picture between steps, which a solver here does not do — use a Cascade`);
  return { ...base(options, run, name), solver: 'lcm', run: lcm };
};
