/* Recipes of the log-SNR solvers: DPM-Solver (multistep, inverse, singlestep), UniPC, DEIS, SA-Solver. VP latents, or flow ones. */
import { CapabilityError } from '@ediffi/core';
import { deis } from '../../solvers/deis.js';
import { dpmMultistep } from '../../solvers/dpm-multistep.js';
import { dpmSinglestep, type SinglestepOptions } from '../../solvers/dpm-singlestep.js';
import { saSolver } from '../../solvers/sa-solver.js';
import { unipc } from '../../solvers/unipc.js';
import type { Options } from './config.js';
import { solverFamily, tableOf } from './grids.js';
import { boundOf, readingOf } from './network.js';
import type { FromDiffusersOptions, RecipeMaker, RecipeParts } from './recipe.js';
import { dpmMultistepOptions } from './sigma-recipes.js';

function base(options: Options, run: FromDiffusersOptions, name: string): Omit<RecipeParts, 'solver' | 'run'> {
  if (options['variance_type']) throw new CapabilityError('variance_type', `${name}: variance_type ${String(options['variance_type'])} means a network with twice the channels — split its output before`);
  const flow = options['use_flow_sigmas'] === true;
  const table = tableOf(options, true);
  const grid = solverFamily(options, run, table, name);
  const form = flow ? 'flow' : 'vp';
  const sigmas = flow ? grid.sigmas : grid.sigmas.map((s) => s / Math.sqrt(1 + s * s));
  return {
    form,
    sigmas,
    times: grid.timesteps,
    timesteps: grid.timesteps,
    listedSigmas: grid.sigmas,
    initialScale: 1,
    reading: readingOf(form, String(options['prediction_type']), name),
    between: (sigma) => (flow ? sigma * Number(options['num_train_timesteps']) : table.timestep(sigma / Math.sqrt(1 - sigma * sigma))),
    bound: boundOf(options),
  };
}

/** DPMSolverMultistepScheduler. */
export const dpmMulti: RecipeMaker = (options, run, name) => {
  const parts = base(options, run, name);
  const solver = dpmMultistepOptions(options, parts.timesteps.length);
  const notes = solver.algorithm === 'sde-dpmsolver++' && solver.order === 3 ? ['diffusers’ third-order sde-dpmsolver++ has −½ where the integral gives +½; reproduced'] : [];
  return { ...parts, notes, solver: 'dpmMultistep', run: (denoise, x, sigmas, extra) => dpmMultistep(denoise, x, sigmas, { ...solver, ...extra }) };
};

/** DPMSolverMultistepInverseScheduler: from the picture up to noise. */
export const dpmInverse: RecipeMaker = (options, run, name) => {
  const parts = base(options, run, name);
  // Equal timesteps are listed once while the σ stay: as many steps as distinct timesteps, on the first σ.
  const timesteps = parts.timesteps.filter((t, i) => parts.timesteps.indexOf(t) === i);
  const { algorithm, ...solver } = dpmMultistepOptions({ ...options, final_sigmas_type: 'sigma_min' }, timesteps.length);
  return {
    ...parts,
    timesteps,
    times: timesteps,
    sigmas: parts.sigmas.slice(0, timesteps.length + 1),
    solver: 'dpmMultistep',
    notes: timesteps.length < parts.timesteps.length ? ['diffusers drops repeated timesteps but keeps their σ; reproduced'] : [],
    run: (denoise, x, sigmas, extra) => dpmMultistep(denoise, x, sigmas, { ...solver, algorithm: algorithm!, inverse: true, ...extra }),
  };
};

/** diffusers' get_order_list. */
function orderList(n: number, order: number, lower: boolean, zero: boolean): number[] {
  const runs = (k: number): number[] => Array.from({ length: k }, () => Array.from({ length: order }, (_, i) => i + 1)).flat();
  const orders = order === 1 ? new Array<number>(n).fill(1) : ((): number[] => {
    if (!lower) return runs(Math.floor(n / order));
    if (order === 3) return n % 3 === 0 ? [...runs(n / 3 - 1), 1, 2, 1] : [...runs(Math.floor(n / 3)), ...(n % 3 === 1 ? [1] : [1, 2])];
    return n % 2 === 0 ? [...runs(n / 2 - 1), 1, 1] : [...runs(Math.floor(n / 2)), 1];
  })();
  if (zero) orders[orders.length - 1] = 1;
  return orders;
}

/** DPMSolverSinglestepScheduler. */
export const dpmSingle: RecipeMaker = (options, run, name) => {
  const parts = base(options, run, name);
  const { algorithm, type, order } = dpmMultistepOptions(options, parts.timesteps.length);
  const zero = options['final_sigmas_type'] === 'zero';
  const n = parts.timesteps.length;
  const lower = options['lower_order_final'] === true || n % order! !== 0 || zero;
  const notes = [
    ...(lower && options['lower_order_final'] !== true ? ['diffusers switches lower_order_final on, because the final σ is 0 or the steps are no multiple of the order'] : []),
    ...(algorithm!.startsWith('sde') ? ['diffusers draws independent noise for intervals that overlap, which takes contrast from the picture; here it is one Brownian path where the noise can be one'] : []),
  ];
  const solver: SinglestepOptions = { algorithm: algorithm!, type: type!, order: order!, orders: orderList(n, order!, lower, zero) };
  return { ...parts, notes, solver: 'dpmSinglestep', run: (denoise, x, sigmas, extra) => dpmSinglestep(denoise, x, sigmas, { ...solver, ...extra }) };
};

/** UniPCMultistepScheduler. */
export const unipcMulti: RecipeMaker = (options, run, name) => {
  if (options['solver_p']) throw new CapabilityError('solver_p', `${name}: solver_p, another scheduler as predictor, is not supported`);
  const variant = options['solver_type'] === 'bh1' ? 'bh1' : 'bh2';
  const solver = { order: Number(options['solver_order']), variant, prediction: options['predict_x0'] ? 'data' : 'noise', lowerOrderFinal: options['lower_order_final'] === true, skipCorrector: options['disable_corrector'] as readonly number[] } as const;
  return { ...base(options, run, name), solver: 'unipc', run: (denoise, x, sigmas, extra) => unipc(denoise, x, sigmas, { ...solver, ...extra }) };
};

/** DEISMultistepScheduler. */
export const deisMulti: RecipeMaker = (options, run, name) => {
  const parts = base(options, run, name);
  const solver = { order: Number(options['solver_order']), lowerOrderFinal: options['lower_order_final'] === true && parts.timesteps.length < 15 };
  return { ...parts, solver: 'deis', run: (denoise, x, sigmas, extra) => deis(denoise, x, sigmas, { ...solver, ...extra }) };
};

/** SASolverScheduler. `tau_func` may be a function of the timestep. */
export const sa: RecipeMaker = (options, run, name) => {
  const parts = base(options, run, name);
  const given = options['tau_func'] as unknown;
  if (given !== null && typeof given !== 'function') throw new CapabilityError('tau_func', `${name}: tau_func must be a function of the timestep, or null`);
  const tauOfTime = given ? (given as (t: number) => number) : (t: number): number => (t >= 200 && t <= 800 ? 1 : 0);
  const times = new Map(parts.times.map((t, i) => [parts.sigmas[i]!, t]));
  const solver = {
    predictorOrder: Number(options['predictor_order']),
    correctorOrder: Number(options['corrector_order']),
    prediction: options['algorithm_type'] === 'noise_prediction' ? 'noise' : 'data',
    lowerOrderFinal: options['lower_order_final'] === true,
    tau: (sigma: number) => tauOfTime(times.get(sigma)!),
  } as const;
  return { ...parts, correctsLast: true, solver: 'saSolver', run: (denoise, x, sigmas, extra) => saSolver(denoise, x, sigmas, { ...solver, ...extra }) };
};
