/*
 * The σ lists and timesteps of diffusers' set_timesteps, by family, in VE form (flow: in flow form) with the final σ; float32 where NumPy
 * and torch round to it.
 */
import { CapabilityError, integer, OptionError } from '@ediffi/core';
import { dynamicShift, staticShift, terminalShift } from '../../grids/flow.js';
import { spacedTimesteps, type Spacing } from '../../grids/spacing.js';
import { interpolate, linspace, linspace32, roundHalfEven } from '../../math/arrays.js';
import { betaQuantile } from '../../math/beta-quantile.js';
import type { BetaKind } from '../../schedules/betas.js';
import { vpSchedule, type VpSchedule } from '../../schedules/table.js';
import type { Options } from './config.js';

/** How many steps, or which: the arguments of set_timesteps. */
export interface RunOptions {
  readonly steps?: number;
  readonly timesteps?: readonly number[];
  readonly sigmas?: readonly number[];
  /** Dynamic shift of flow models. */
  readonly mu?: number;
  /** LCM and TCD: how many steps distillation trained, and the part of them to use. */
  readonly originalSteps?: number;
  readonly strength?: number;
  /** Image to image: how many of diffusers' first timesteps to leave out. */
  readonly start?: number;
}

/** n + 1 values of σ, and the time of each but the last. */
export interface DiffusersGrid {
  readonly sigmas: number[];
  readonly timesteps: number[];
}

const f = Math.fround;

/** The tables of a VP class; a last ᾱ of 0 becomes 2⁻²⁴ where the class divides by it. */
export function tableOf(options: Options, floor: boolean): VpSchedule {
  const zero = options['rescale_betas_zero_snr'] === true;
  const own = options['trained_betas'] as readonly number[] | null;
  return vpSchedule({
    kind: options['beta_schedule'] as BetaKind,
    steps: Number(options['num_train_timesteps']),
    start: Number(options['beta_start']),
    end: Number(options['beta_end']),
    ...(own && { betas: own }),
    zeroTerminalSnr: zero,
    ...(zero && floor && { lastAlpha: 2 ** -24 }),
  });
}

/** Which of the three ramps, if any. */
export const rampOf = (o: Options): 'karras' | 'exponential' | 'beta' | undefined => (o['use_karras_sigmas'] ? 'karras' : o['use_exponential_sigmas'] ? 'exponential' : o['use_beta_sigmas'] ? 'beta' : undefined);

/** The ramp between two σ, n values. */
export function rampBetween(kind: 'karras' | 'exponential' | 'beta', n: number, top: number, bottom: number): number[] {
  if (kind === 'exponential') return linspace(Math.log(top), Math.log(bottom), n).map(Math.exp);
  if (kind === 'beta') return linspace(0, 1, n).map((u) => bottom + betaQuantile(1 - u, 0.6, 0.6) * (top - bottom));
  const [a, b] = [top ** (1 / 7), bottom ** (1 / 7)];
  return linspace(0, 1, n).map((u) => (a + u * (b - a)) ** 7);
}

function stepsOf(run: RunOptions, name: string): number {
  const steps = run.steps ?? run.timesteps?.length ?? run.sigmas?.length;
  if (steps === undefined) throw new OptionError('steps', undefined, `a number of steps for ${name}`);
  return integer('steps', steps, 1, 100_000);
}

/** Custom timesteps fit only a class that has the argument, and no ramp. */
function refuseCustom(run: RunOptions, allowed: readonly ('timesteps' | 'sigmas')[], name: string, ramp?: string): void {
  for (const key of ['timesteps', 'sigmas'] as const) {
    if (run[key] && !allowed.includes(key)) throw new CapabilityError(key, `${name} takes no custom ${key} — leave them out`);
    if (run[key] && ramp) throw new OptionError(key, 'custom', `no use_${ramp}_sigmas: the ramp makes its own σ`);
  }
}

/** Euler, LMS, Heun, KDPM2, DPM-SDE: n float timesteps, σ interpolated between table entries; ramps between the first and last of them. */
export function sigmaFamily(options: Options, run: RunOptions, table: VpSchedule, name: string): DiffusersGrid {
  const ramp = rampOf(options);
  refuseCustom(run, name === 'EulerDiscreteScheduler' ? ['timesteps', 'sigmas'] : name === 'HeunDiscreteScheduler' ? ['timesteps'] : [], name, ramp);
  if (run.sigmas) return { sigmas: run.sigmas.map(f), timesteps: run.sigmas.slice(0, -1).map((s) => table.timestep(f(s))) };
  const n = stepsOf(run, name);
  let timesteps = run.timesteps?.map(f) ?? spacedTimesteps(n, options['timestep_spacing'] as Spacing, { total: Number(options['num_train_timesteps']), offset: Number(options['steps_offset']), whole: false });
  if (name === 'DPMSolverSDEScheduler' && options['timestep_spacing'] === 'linspace') timesteps = linspace(0, Number(options['num_train_timesteps']) - 1, n).reverse();
  let sigmas = timesteps.map((t) => interpolate(table.sigmas, t));
  if (options['interpolation_type'] === 'log_linear') sigmas = [...linspace32(f(Math.log(table.sigmaMax)), f(Math.log(table.sigmaMin)), n + 1)].map((v) => f(Math.exp(v)));
  if (ramp) {
    sigmas = rampBetween(ramp, n, Number(options['sigma_max'] ?? sigmas[0]), Number(options['sigma_min'] ?? sigmas[sigmas.length - 1]));
    timesteps = sigmas.map((s) => table.timestep(s));
    if (name.startsWith('KDPM2') && ramp === 'karras') timesteps = timesteps.map(roundHalfEven);
  }
  const last = options['final_sigmas_type'] === 'sigma_min' ? table.sigmaMin : 0;
  return { sigmas: [...sigmas, last].map(f), timesteps };
}

/** DPM-Solver, UniPC, DEIS, SA-Solver: integer timesteps of which one more is spaced; ramps over the whole table; flow σ. */
export function solverFamily(options: Options, run: RunOptions, table: VpSchedule, name: string): DiffusersGrid {
  const total = Number(options['num_train_timesteps']);
  const ramp = rampOf(options);
  refuseCustom(run, name === 'UniPCMultistepScheduler' ? ['sigmas'] : name.startsWith('DPMSolver') && !name.includes('Inverse') ? ['timesteps'] : [], name, ramp ?? (options['use_lu_lambdas'] ? 'lu' : undefined));
  if (run.timesteps && !options['use_flow_sigmas']) return finished(run.timesteps.map((t) => interpolate(table.sigmas, t)), [...run.timesteps]);
  const n = stepsOf(run, name);
  if (options['use_flow_sigmas'] === true) {
    if (ramp) throw new CapabilityError('use_flow_sigmas', `${name}: use_flow_sigmas together with use_${ramp}_sigmas — leave one out`);
    const shifted = flowSigmas(options, run, n, total, name);
    return finished(shifted, shifted.map((s) => Math.trunc(s * total)));
  }
  if (run.sigmas) throw new CapabilityError('sigmas', `${name} takes custom sigmas only with use_flow_sigmas`);
  const logs = table.alphasCumprod.map((a) => Math.log(f(Math.sqrt(a))) - Math.log(f(Math.sqrt(f(1 - a))))); // λ, falling with t
  const clipped = Number(options['lambda_min_clipped'] ?? -Infinity);
  const last = total - [...logs].filter((l) => l < clipped).length;
  const reverse = name.includes('Inverse');
  const spacing = (options['timestep_spacing'] ?? 'linspace') as Spacing;
  const round = options['beta_schedule'] !== 'squaredcos_cap_v2' || ['UniPCMultistepScheduler', 'DEISMultistepScheduler', 'SASolverScheduler', 'DPMSolverSinglestepScheduler'].includes(name) || reverse;
  if (ramp || options['use_lu_lambdas']) {
    const [top, bottom] = [Number(options['sigma_max'] ?? table.sigmaMax), Number(options['sigma_min'] ?? table.sigmaMin)];
    const sigmas = ramp ? rampBetween(ramp, n, reverse ? bottom : top, reverse ? top : bottom) : linspace(f(Math.log(top)), f(Math.log(bottom)), n).map(Math.exp);
    const times = sigmas.map((s) => table.timestep(s));
    return finished(sigmas, times.map(ramp === 'exponential' || ramp === 'beta' || !round ? Math.trunc : roundHalfEven));
  }
  if (reverse) {
    const rising = spacing === 'trailing' ? spacedTimesteps(n, spacing, { total, last }).reverse() : linspaceUp(n, last, spacing, Number(options['steps_offset']));
    return finished(rising.map((t) => interpolate(table.sigmas, t)), rising);
  }
  const timesteps = spacedTimesteps(n, spacing, { total, last, offset: Number(options['steps_offset'] ?? 0), drop: true });
  return finished(timesteps.map((t) => interpolate(table.sigmas, t)), timesteps);

  /** With the final σ of the class: 0, the table's lowest (inverse: highest), or the last one again. */
  function finished(sigmas: number[], timesteps: number[]): DiffusersGrid {
    const repeats = !('final_sigmas_type' in options);
    const again = sigmas[sigmas.length - 1]!;
    const made = ramp !== undefined || options['use_flow_sigmas'] === true;
    const edge = name.includes('Inverse') ? interpolate(table.sigmas, total - 1 - [...table.alphasCumprod].filter((a) => Math.log(Math.sqrt(a / (1 - a))) < Number(options['lambda_min_clipped'] ?? -Infinity)).length) : table.sigmaMin;
    const end = repeats ? (made ? again : edge) : options['final_sigmas_type'] === 'zero' ? 0 : name === 'UniPCMultistepScheduler' && made ? again : table.sigmaMin;
    return { sigmas: [...sigmas, end].map(f), timesteps };
  }
}

function linspaceUp(n: number, last: number, spacing: Spacing, offset: number): number[] {
  return spacing === 'leading' ? Array.from({ length: n }, (_, i) => i * Math.floor(last / (n + 1)) + offset) : spacedTimesteps(n + 1, 'linspace', { last }).reverse().slice(0, n);
}

function flowSigmas(options: Options, run: RunOptions, n: number, total: number, name: string): number[] {
  const dynamic = options['use_dynamic_shifting'] === true;
  if (dynamic && run.mu === undefined) throw new OptionError('mu', undefined, `a number, because ${name} has use_dynamic_shifting`);
  if (!dynamic && run.mu !== undefined) throw new OptionError('mu', run.mu, 'nothing, because use_dynamic_shifting is off');
  const shift = dynamic && name !== 'UniPCMultistepScheduler' ? Math.exp(run.mu!) : Number(options['flow_shift']);
  if (name !== 'UniPCMultistepScheduler') return linspace(1, 1 / total, n + 1).map((a) => staticShift(1 - a, shift)).reverse().slice(0, -1);
  let sigmas = (run.sigmas ? [...run.sigmas] : linspace(1, 1 / total, n + 1).slice(0, -1)).map((s) => (dynamic ? dynamicShift(s, run.mu!, options['time_shift_type'] as 'exponential') : staticShift(s, shift)));
  if (options['shift_terminal']) sigmas = terminalShift(sigmas, Number(options['shift_terminal']));
  if (Math.abs(sigmas[0]! - 1) < 1e-6) sigmas[0]! -= 1e-6;
  return sigmas;
}

/** Flow matching: σ from the class's own, already shifted table (so a static shift acts twice), shifted, stretched, ramped. */
export function flowFamily(options: Options, run: RunOptions, name: string): DiffusersGrid {
  const total = Number(options['num_train_timesteps']);
  const shift = Number(options['shift']);
  const dynamic = options['use_dynamic_shifting'] === true;
  const heun = name === 'FlowMatchHeunDiscreteScheduler';
  if (dynamic && run.mu === undefined) throw new OptionError('mu', undefined, `a number, because ${name} has use_dynamic_shifting`);
  if (!dynamic && run.mu !== undefined) throw new OptionError('mu', run.mu, 'nothing, because use_dynamic_shifting is off');
  refuseCustom(run, heun ? [] : ['sigmas', 'timesteps'], name);
  const n = stepsOf(run, name);
  const ends = [1, f(1 / total)].map((s) => (dynamic ? s : f(staticShift(s, shift)))) as [number, number];
  const ramp = run.sigmas ?? run.timesteps?.map((t) => t / total) ?? linspace(ends[0] * total, ends[1] * total, n).map((t) => t / total);
  let sigmas = ramp.map((s) => (dynamic ? dynamicShift(s, run.mu!, options['time_shift_type'] as 'exponential') : staticShift(s, shift)));
  if (options['shift_terminal']) sigmas = terminalShift(sigmas, Number(options['shift_terminal']));
  const kind = rampOf(options);
  if (kind) sigmas = rampBetween(kind, n, sigmas[0]!, sigmas[sigmas.length - 1]!);
  const times = run.timesteps ? [...run.timesteps] : sigmas.map((s) => f(f(s) * total));
  return { sigmas: [...sigmas, 0].map(f), timesteps: times };
}

/** EDM: the karras or exponential ramp from σ_max to σ_min (`sigmas` is its 0…1 position, as diffusers reads it); t = ln(σ)/4. */
export function edmFamily(options: Options, run: RunOptions, name: string): DiffusersGrid {
  refuseCustom(run, name === 'EDMEulerScheduler' ? ['sigmas'] : [], name);
  const n = stepsOf(run, name);
  const [low, high, rho] = [Number(options['sigma_min']), Number(options['sigma_max']), Number(options['rho'])];
  const [a, b] = [high ** (1 / rho), low ** (1 / rho)];
  const positions = run.sigmas ?? (name === 'EDMEulerScheduler' ? linspace(0, 1, n) : [...linspace32(0, 1, n)]);
  const sigmas = (options['sigma_schedule'] === 'exponential' ? [...linspace32(Math.log(low), Math.log(high), positions.length)].map(Math.exp).reverse() : positions.map((u) => (a + u * (b - a)) ** rho)).map(f);
  const end = options['final_sigmas_type'] === 'zero' ? 0 : name === 'EDMEulerScheduler' ? sigmas[sigmas.length - 1]! : f(low);
  return { sigmas: [...sigmas, end], timesteps: sigmas.map((s) => f(0.25 * f(Math.log(s)))) };
}
