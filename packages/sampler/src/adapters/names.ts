/*
 * The names that A1111 and ComfyUI give to solvers and grids, and what they are here. The table in docs/guide/solvers.md is made from this file.
 */
import { CapabilityError, nearest } from '@ediffi/core';
import { alignYourSteps } from '../grids/align-your-steps.js';
import { beta, ddimUniform, normal, sgmUniform, simple } from '../grids/by-schedule.js';
import { exponential } from '../grids/exponential.js';
import { karras } from '../grids/karras.js';
import { klOptimal } from '../grids/kl-optimal.js';
import { linearQuadratic } from '../grids/linear-quadratic.js';
import { polyexponential } from '../grids/polyexponential.js';
import type { Schedule } from '../schedules/table.js';
import { ddpm } from '../solvers/ddpm.js';
import { deis } from '../solvers/deis.js';
import { dpm2 } from '../solvers/dpm2.js';
import { dpm2Ancestral } from '../solvers/dpm2-ancestral.js';
import { dpmAdaptive } from '../solvers/dpm-adaptive.js';
import { dpmFast } from '../solvers/dpm-fast.js';
import { dpmpp2m } from '../solvers/dpmpp-2m.js';
import { dpmpp2mSde } from '../solvers/dpmpp-2m-sde.js';
import { dpmpp2sAncestral } from '../solvers/dpmpp-2s-ancestral.js';
import { dpmpp3mSde } from '../solvers/dpmpp-3m-sde.js';
import { dpmppSde } from '../solvers/dpmpp-sde.js';
import { euler } from '../solvers/euler.js';
import { eulerAncestral } from '../solvers/euler-ancestral.js';
import { heun } from '../solvers/heun.js';
import { ipndm } from '../solvers/ipndm.js';
import { lcm } from '../solvers/lcm.js';
import { lms } from '../solvers/lms.js';
import { pndm } from '../solvers/pndm.js';
import { restart } from '../solvers/restart.js';
import { saSolver } from '../solvers/sa-solver.js';
import type { Solver } from '../solvers/solver.js';
import { unipc } from '../solvers/unipc.js';

/** One solver under its names. `discard`: the UI makes one more σ and leaves out the last but one. */
export interface NamedSolver {
  readonly name: string;
  readonly solver: Solver;
  readonly options?: object;
  readonly a1111: readonly string[];
  readonly comfy: readonly string[];
  readonly discard?: boolean;
  readonly note?: string;
}

/** One grid under its names. */
export interface NamedGrid {
  readonly name: string;
  readonly grid: (steps: number, schedule: Schedule) => Float64Array;
  readonly a1111: readonly string[];
  readonly comfy: readonly string[];
}

/** Solvers by the names of A1111 and ComfyUI. */
export const solverNames: readonly NamedSolver[] = [
  { name: 'euler', solver: euler, a1111: ['Euler'], comfy: ['euler'] },
  { name: 'eulerAncestral', solver: eulerAncestral, a1111: ['Euler a'], comfy: ['euler_ancestral'] },
  { name: 'heun', solver: heun, a1111: ['Heun'], comfy: ['heun'] },
  { name: 'dpm2', solver: dpm2, a1111: ['DPM2'], comfy: ['dpm_2'], discard: true },
  { name: 'dpm2Ancestral', solver: dpm2Ancestral, a1111: ['DPM2 a'], comfy: ['dpm_2_ancestral'], discard: true },
  { name: 'lms', solver: lms, a1111: ['LMS'], comfy: ['lms'] },
  { name: 'dpmFast', solver: dpmFast, a1111: ['DPM fast'], comfy: ['dpm_fast'] },
  { name: 'dpmAdaptive', solver: dpmAdaptive, a1111: ['DPM adaptive'], comfy: ['dpm_adaptive'] },
  { name: 'dpmpp2sAncestral', solver: dpmpp2sAncestral, a1111: ['DPM++ 2S a'], comfy: ['dpmpp_2s_ancestral'] },
  { name: 'dpmppSde', solver: dpmppSde, a1111: ['DPM++ SDE'], comfy: ['dpmpp_sde', 'dpmpp_sde_gpu'] },
  { name: 'dpmpp2m', solver: dpmpp2m, a1111: ['DPM++ 2M'], comfy: ['dpmpp_2m'] },
  { name: 'dpmpp2mSde', solver: dpmpp2mSde, a1111: ['DPM++ 2M SDE'], comfy: ['dpmpp_2m_sde', 'dpmpp_2m_sde_gpu'] },
  { name: 'dpmpp2mSde', solver: dpmpp2mSde, options: { type: 'heun' }, a1111: ['DPM++ 2M SDE Heun'], comfy: ['dpmpp_2m_sde_heun', 'dpmpp_2m_sde_heun_gpu'] },
  { name: 'dpmpp3mSde', solver: dpmpp3mSde, a1111: ['DPM++ 3M SDE'], comfy: ['dpmpp_3m_sde', 'dpmpp_3m_sde_gpu'] },
  { name: 'unipc', solver: unipc, options: { order: 3, variant: 'bh1' }, a1111: ['UniPC'], comfy: ['uni_pc'], discard: true },
  { name: 'unipc', solver: unipc, options: { order: 3, variant: 'bh2' }, a1111: [], comfy: ['uni_pc_bh2'], discard: true },
  { name: 'euler', solver: euler, a1111: ['DDIM'], comfy: ['ddim'], note: 'DDIM with η = 0 is Euler’s step' },
  { name: 'pndm', solver: pndm, options: { skipPrk: true }, a1111: ['PLMS'], comfy: [] },
  { name: 'ipndm', solver: ipndm, a1111: [], comfy: ['ipndm'] },
  { name: 'deis', solver: deis, a1111: [], comfy: ['deis'], note: 'in log ρ, as diffusers; ComfyUI integrates in σ' },
  { name: 'ddpm', solver: ddpm, a1111: [], comfy: ['ddpm'] },
  { name: 'lcm', solver: lcm, a1111: ['LCM'], comfy: ['lcm'] },
  { name: 'saSolver', solver: saSolver, options: { predictorOrder: 3, correctorOrder: 4 }, a1111: [], comfy: ['sa_solver'], note: 'τ = 1 throughout; ComfyUI takes it from a window of σ' },
  { name: 'restart', solver: restart, a1111: ['Restart'], comfy: [], note: 'the paper’s default interval' },
];

const ends = ({ sigmaMin, sigmaMax }: Schedule): { sigmaMin: number; sigmaMax: number } => ({ sigmaMin, sigmaMax });

/** Grids by the names of A1111 and ComfyUI. */
export const gridNames: readonly NamedGrid[] = [
  { name: 'normal', grid: normal, a1111: ['Automatic', 'Uniform', 'Normal'], comfy: ['normal'] },
  { name: 'karras', grid: (n, s) => karras(n, ends(s)), a1111: ['Karras'], comfy: ['karras'] },
  { name: 'exponential', grid: (n, s) => exponential(n, ends(s)), a1111: ['Exponential'], comfy: ['exponential'] },
  { name: 'polyexponential', grid: (n, s) => polyexponential(n, ends(s)), a1111: ['Polyexponential'], comfy: [] },
  { name: 'sgmUniform', grid: sgmUniform, a1111: ['SGM Uniform'], comfy: ['sgm_uniform'] },
  { name: 'simple', grid: simple, a1111: ['Simple'], comfy: ['simple'] },
  { name: 'ddimUniform', grid: ddimUniform, a1111: ['DDIM'], comfy: ['ddim_uniform'] },
  { name: 'beta', grid: (n, s) => beta(n, s), a1111: ['Beta'], comfy: ['beta'] },
  { name: 'klOptimal', grid: (n, s) => klOptimal(n, ends(s)), a1111: ['KL Optimal'], comfy: ['kl_optimal'] },
  { name: 'linearQuadratic', grid: (n, s) => linearQuadratic(n, ends(s)), a1111: [], comfy: ['linear_quadratic'] },
  { name: 'alignYourSteps', grid: (n) => alignYourSteps(n, 'sd1'), a1111: ['Align Your Steps'], comfy: ['ays'] },
];

/** A solver and a grid by name, ready to run: `solver(denoise, x, grid(steps, schedule))`. */
export interface NamedRecipe {
  readonly name: string;
  readonly gridName: string;
  readonly solver: Solver;
  readonly grid: (steps: number, schedule: Schedule) => Float64Array;
}

const plain = (name: string): string => name.toLowerCase().replaceAll('++', 'pp').replace(/[^a-z0-9]/g, '');

function find<T extends { readonly name: string; readonly a1111: readonly string[]; readonly comfy: readonly string[] }>(table: readonly T[], name: string): T | undefined {
  return table.find((e) => [...e.comfy, ...e.a1111].some((n) => plain(n) === plain(name))) ?? table.find((e) => plain(e.name) === plain(name));
}

/**
 * A1111's and ComfyUI's names, and ours: fromName('dpmpp_2m', 'karras'), fromName('DPM++ 2M Karras'). The grid is 'normal' unless named. Throws CapabilityError
 * for a name that is not known, with the nearest that are.
 *
 * @example
 * ```ts
 * import { lincomb, randn } from '@ediffi/core';
 * import { gaussian } from '@ediffi/core/testing';
 * import { fromName, edmSchedule } from '@ediffi/sampler';
 *
 * const { solver, grid } = fromName('DPM++ 2M Karras');
 * const sigmas = grid(12, edmSchedule({ sigmaMin: 0.02, sigmaMax: 80 }));
 * const x = await lincomb([sigmas[0]!, randn([1, 3, 8, 8], 7)]);
 * for await (const { index, sigma } of solver(gaussian(0, 0.5).denoise, x, sigmas)) console.log(index, sigma);
 * ```
 */
export function fromName(sampler: string, scheduler?: string): NamedRecipe {
  let [solver, gridName] = [find(solverNames, sampler), scheduler];
  const suffix = /^(.*\S)\s+(Karras|Exponential)$/i.exec(sampler);
  if (!solver && suffix && scheduler === undefined) [solver, gridName] = [find(solverNames, suffix[1]!), suffix[2]!];
  if (!solver) throw unknown('sampler', sampler, solverNames);
  const grid = find(gridNames, gridName ?? 'normal');
  if (!grid) throw unknown('scheduler', gridName!, gridNames);
  const { discard, options } = solver;
  return {
    name: solver.name,
    gridName: grid.name,
    solver: options ? Object.assign<Solver, object>((denoise, x, sigmas, more) => solver.solver(denoise, x, sigmas, { ...options, ...more }), {}) : solver.solver,
    grid: (steps, schedule) => {
      if (!discard) return grid.grid(steps, schedule);
      const more = grid.grid(steps + 1, schedule);
      return Float64Array.of(...more.subarray(0, -2), more.at(-1)!);
    },
  };
}

function unknown(what: string, name: string, table: readonly { readonly a1111: readonly string[]; readonly comfy: readonly string[] }[]): CapabilityError {
  const known = table.flatMap((e) => [...e.comfy, ...e.a1111]);
  return new CapabilityError(what, `${what} ${JSON.stringify(name)} is not known here — nearest: ${nearest(name, known, 3).join(', ')}`, { known });
}
