import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { alignYourSteps, beta, betas, alphasCumprod, ddimUniform, exponential, fromDiffusers, flowSchedule, karras, klOptimal, linearQuadratic, muOfTokens, normal, polyexponential, sgmUniform, simple, vp, vpSchedule, type BetaKind, type Schedule } from './index.js';
import { interpolate, linspace32 } from './math/arrays.js';
import { alignedTimesteps } from './grids/align-your-steps.js';
import { recipeArguments } from './testing/golden-case.js';
import { tally } from './testing/tally.js';

interface Out { dtype: string; data: (number | string)[] }
interface Case { id: string; src: string; fn: string; args: Record<string, never> & { n: number; sigma_min: number; sigma_max: number; rho: number }; out: Record<string, Out> }
const { cases } = JSON.parse(readFileSync(new URL('../golden/schedules.json', import.meta.url), 'utf8')) as { cases: Case[] };

const results = tally('schedules');
afterAll(() => console.log(results.table()));

const value = (out: Out, i: number): number => (out.dtype === 'float32' ? Math.fround(Number(out.data[i])) : Number(out.data[i]));
/** Largest relative difference over the tolerance; the floor keeps σ near 0 from dividing. */
function ratio(actual: ArrayLike<number>, out: Out, tolerance: number, floor = 1e-3): number {
  expect(actual.length).toBe(out.data.length);
  return out.data.reduce<number>((worst, _, i) => {
    const [a, b] = [actual[i]!, value(out, i)];
    return Math.max(worst, a === b ? 0 : Math.abs(a - b) / Math.max(floor, Math.abs(b)) / tolerance);
  }, 0);
}

const sd = { kind: 'scaled_linear', start: 0.00085, end: 0.012 } as const;
const betaOptions = (a: Record<string, unknown>): Parameters<typeof betas>[0] => ({ kind: a['beta_schedule'] as BetaKind, steps: a['num_train_timesteps'] as number, start: a['beta_start'] as number, end: a['beta_end'] as number, zeroTerminalSnr: a['rescale_betas_zero_snr'] === true });

/** The node UI's table: betas and product in float64, σ rounded to float32 (golden/README.md). */
function uiTable(): Schedule {
  let product = 1;
  const [a, b] = [Math.sqrt(sd.start), Math.sqrt(sd.end)];
  const sigmas = Float64Array.from({ length: 1000 }, (_, i) => {
    product *= 1 - (a + (i / 999) * (b - a)) ** 2;
    return Math.sqrt((1 - product) / product);
  });
  const logs = sigmas.map((s) => Math.fround(Math.log(s)));
  return { sigmas: sigmas.map(Math.fround), sigmaMin: sigmas[0]!, sigmaMax: sigmas[999]!, sigma: (t) => Math.exp(interpolate(logs, t)), timestep: (s) => logs.reduce((best, l, i) => (Math.abs(Math.log(s) - l) < Math.abs(Math.log(s) - logs[best]!) ? i : best), 0) };
}
const ui = uiTable();
const flowTable = flowSchedule({ shift: 3 });
const bySchedule: Record<string, (steps: number, s: Schedule) => ArrayLike<number>> = {
  ui_simple: simple,
  ui_normal: normal,
  ui_sgm_uniform: sgmUniform,
  ui_ddim_uniform: ddimUniform,
  ui_beta: (n, s) => beta(n, s),
  ui_kl_optimal: (n, s) => klOptimal(n, s),
  ui_linear_quadratic: (n, s) => linearQuadratic(n, s),
};

function compare(c: Case): number {
  const a = c.args as unknown as Record<string, never> & { n: number; sigma_min: number; sigma_max: number; rho: number; steps: number; table: string; levels: number[]; image_seq_len: number; beta_d: number; beta_min: number; eps_s: number; config: Record<string, unknown>; set_timesteps: Record<string, unknown>; indices: number[] };
  const range = { sigmaMin: a.sigma_min, sigmaMax: a.sigma_max };
  const sigmas = c.out['sigmas']!;
  // k-diffusion computes ramps in float32; a 7th power magnifies its rounding. The README's 2e-6 holds for all.
  if (c.fn === 'get_sigmas_karras') return ratio(karras(a.n, { ...range, rho: a.rho }), sigmas, 2e-6);
  if (c.fn === 'get_sigmas_exponential') return ratio(exponential(a.n, range), sigmas, 2e-6);
  if (c.fn === 'get_sigmas_polyexponential') return ratio(polyexponential(a.n, { ...range, rho: a.rho }), sigmas, 2e-6);
  // σ² = exp(…) − 1 cancels in the reference's float32: compare σ² to 2.4e-7 absolute, or relative.
  if (c.fn === 'get_sigmas_vp') return ratio(vp(a.n, { betaD: a.beta_d, betaMin: a.beta_min, epsilon: a.eps_s }).map((s) => s * s), { dtype: 'float64', data: sigmas.data.map((s) => Number(s) ** 2) }, 4e-6, 0.06);
  if (c.fn === 'betas') {
    const table = betas(betaOptions(a));
    // Zero terminal SNR subtracts square roots that torch's vector code does not round correctly (177 of 1000 are one ulp off): absolute errors.
    if (c.id.startsWith('betas-zero-snr')) return Math.max(ratio(table, c.out['betas']!, 1e-5, 1), ratio(alphasCumprod(table), c.out['alphas_cumprod']!, 1e-6, 1));
    const exact = c.id.includes('sigmoid') ? 1e-6 : 1e-15; // sigmoid: torch's float32 exp; the others bit for bit
    return Math.max(ratio(table, c.out['betas']!, exact, 1e-9), ratio(alphasCumprod(table), c.out['alphas_cumprod']!, exact, 1e-6));
  }
  if (c.fn === 'vp_coefficients') {
    const bar = alphasCumprod(betas(betaOptions(a)));
    const at = (g: (v: number) => number): number[] => a.indices.map((i) => g(bar[i]!));
    return Math.max(ratio(at(Math.sqrt), c.out['alpha_t']!, 1e-6), ratio(at((v) => Math.sqrt(1 - v)), c.out['sigma_t']!, 1e-6), ratio(at((v) => 0.5 * Math.log(v / (1 - v))), c.out['lambda_t']!, 1e-6, 0.1), ratio(at((v) => Math.sqrt((1 - v) / v)), sigmas, 1e-6));
  }
  if (c.fn === 'calculate_shift') return ratio([muOfTokens(a.image_seq_len)], c.out['mu']!, 1e-12);
  if (c.fn === 'ays_loglinear') return ratio(alignYourSteps(a.steps, a.levels), sigmas, 1e-12);
  if (c.fn === 'AysSchedules') {
    const own = { StableDiffusionTimesteps: alignedTimesteps.sd1, StableDiffusionXLTimesteps: alignedTimesteps.sdxl }[c.id.slice(4)];
    return own ? ratio(own, c.out['values']!, 1e-12) : ratio([...alignYourSteps(10, c.id.includes('XL') ? 'sdxl' : c.id.includes('Video') ? 'svd' : 'sd1')], c.out['values']!, 2e-2); // rounded differently there (0.113 for 0.1114)
  }
  if (c.fn === 'sigma_table') return ratio(c.out['indices']!.data.map((i) => ui.sigmas[Number(i)]!), sigmas, 1e-6);
  if (bySchedule[c.fn]) return ratio(bySchedule[c.fn]!(a.steps, a.table === 'flow' ? flowTable : ui), sigmas, 1e-6);
  const discrete = vpSchedule(sd);
  if (c.fn === 'DiscreteSchedule.get_sigmas') return ratio([...linspace32(999, 0, a.n)].map((t) => discrete.sigma(t)).concat(0), sigmas, 1e-6);
  if (c.fn === 'DiscreteSchedule.t_to_sigma') return ratio(c.out['t']!.data.map((t) => discrete.sigma(Math.fround(Number(t)))), c.out['sigma']!, 1e-6);
  if (c.fn === 'DiscreteSchedule.sigma_to_t') return ratio(c.out['sigma']!.data.map((s) => discrete.timestep(Math.fround(Number(s)))), c.out['t']!, 1e-6, 1);
  // A diffusers class.
  const recipe = fromDiffusers(...recipeArguments(c.fn, a.config, a.set_timesteps));
  const { timesteps, sigmas: listed, init_noise_sigma: scale, betas: b, alphas } = c.out;
  const whole = timesteps!.dtype.startsWith('int');
  if (whole) expect([...recipe.timesteps]).toEqual(timesteps!.data.map(Number));
  return Math.max(
    ratio(recipe.timesteps, timesteps!, 2e-6, 1),
    listed ? ratio(recipe.listedSigmas, listed, c.id.includes('zero-snr') ? 1e-5 : 2e-6) : 0,
    scale ? ratio([recipe.initialScale], scale, 1e-6) : 0,
    b ? ratio(recipe.sigmas, b, 1e-6) : 0,
    alphas ? ratio([...recipe.sigmas].map((s) => recipe.alpha(s)), alphas, 1e-6, 1) : 0,
  );
}

describe('schedules', () => {
  for (const fn of [...new Set(cases.map((c) => c.fn))]) {
    const own = cases.filter((c) => c.fn === fn);
    it(`${fn}: ${own.length} cases`, () => {
      for (const c of own) {
        let worst: number;
        try {
          worst = compare(c);
        } catch (error) {
          throw new Error(`${c.id}: ${(error as Error).message}`, { cause: error });
        }
        results.add(fn, { schedule: worst });
        expect(worst, c.id).toBeLessThanOrEqual(1);
      }
    });
  }
  it('ui_simple: takes int(x·(N/n)) of the node UI, where i·N/n is a whole number too', () => {
    expect(19 * 1000 / 38).toBe(500);
    expect(simple(38, ui)[19]).toBe(ui.sigmas[999 - 499]);
    expect(simple(40, ui)[20]).toBe(ui.sigmas[999 - 500]);
  });
});
