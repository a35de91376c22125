import { float32, floats, type Denoise, type HostTensor, type Tensor } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { dpm2, dpm2Ancestral, dpmAdaptive, dpmFast, dpmpp2m, dpmpp2mSde, dpmpp2sAncestral, dpmpp3mSde, dpmppSde, euler, eulerAncestral, heun, lms, type Noise, type Step } from './index.js';
import { goldenAnswer, type GoldenMixture, type GoldenModel } from './testing/golden-model.js';
import { tally } from './testing/tally.js';

interface Case {
  id: string; sampler: string; kwargs: Record<string, number | string | boolean>; noise_kind: string; model: GoldenModel; shape: number[];
  tol: { max_abs?: number; atol_closed_loop: number; same_call_count_under_jitter?: boolean }; sigmas?: (number | string)[]; init: number[];
  calls: { sigma: number; x: number[]; denoised: number[] }[]; noise?: number[][]; noise_args?: number[][]; info?: { nfe: number; n_reject: number }; final: number[];
}
const { cases, models } = JSON.parse(readFileSync(new URL('../golden/traj_kdiffusion.json', import.meta.url), 'utf8')) as { cases: Case[]; models: Record<string, GoldenMixture> };

const solvers: Record<string, (d: Denoise, x: Tensor, s: Float64Array, o: object) => AsyncGenerator<Step, Tensor, void>> = {
  sample_euler: euler, sample_heun: heun, sample_dpm_2: dpm2, sample_euler_ancestral: eulerAncestral, sample_dpm_2_ancestral: dpm2Ancestral, sample_dpmpp_2s_ancestral: dpmpp2sAncestral, sample_lms: lms,
  sample_dpmpp_2m: dpmpp2m, sample_dpmpp_sde: dpmppSde, sample_dpmpp_2m_sde: dpmpp2mSde, sample_dpmpp_3m_sde: dpmpp3mSde, sample_dpm_fast: dpmFast, sample_dpm_adaptive: dpmAdaptive,
};
const keywords: Record<string, string> = { s_churn: 'churn', s_tmin: 'churnMin', s_tmax: 'churnMax', s_noise: 'noiseScale', solver_type: 'type', n: 'calls', pcoeff: 'proportional', icoeff: 'integral', dcoeff: 'derivative', h_init: 'firstStep' };
/** k-diffusion draws in these at every (accepted) step, used or not: pick by the step, not by counting. */
const everyStep = ['sample_euler', 'sample_heun', 'sample_dpm_2', 'sample_dpm_fast', 'sample_dpm_adaptive'];
/** Compared at a wider tolerance: the reference's step sizes carry the rounding noise of its float32 error estimate (1e-5 of σ), the solver's own tolerance is 5e-2. */
const wider: Record<string, number> = { 'dpm_adaptive/o3': 1e-4 };
const results = tally('k-diffusion trajectories');
afterAll(() => console.log(results.table()));

describe('k-diffusion trajectories', () => {
  it('covers every sampler', () => expect(cases.filter((c) => !solvers[c.sampler])).toEqual([]));
  for (const c of cases) {
    it(c.id, async () => {
      const sigmas = Float64Array.from(c.sigmas ?? [Math.fround(c.kwargs['sigma_max'] as number), Math.fround(c.kwargs['sigma_min'] as number)], (v) => Math.fround(Number(v)));
      const options = Object.fromEntries(Object.entries(c.kwargs).filter(([k]) => !['return_info', 'sigma_min', 'sigma_max'].includes(k)).map(([k, v]) => [keywords[k] ?? k, v]));
      let [step, drawn] = [0, 0];
      const byInterval = (from: number, to: number): number => c.noise_args!.findIndex(([a, b]) => Math.abs(a! - from) <= 1e-5 * from && Math.abs(b! - to) <= 1e-5 * from);
      const noise: Noise = (shape, from, to) => float32(c.noise![c.noise_kind === 'brownian' ? byInterval(from, to) : everyStep.includes(c.sampler) ? step : drawn++]!, shape);
      const run = async (denoise: Denoise): Promise<Float32Array> => {
        [step, drawn] = [0, 0];
        const steps = solvers[c.sampler]!(denoise, float32(c.init, c.shape), sigmas, { ...options, noise });
        for (;;) {
          const { done, value } = await steps.next();
          if (done) return floats(value);
          step++;
        }
      };
      const gap = (a: ArrayLike<number>, b: readonly number[]): number => b.reduce((m, v, i) => Math.max(m, Math.abs(a[i]! - Math.fround(v))), 0);
      const scale = (b: readonly number[]): number => b.reduce((m, v) => Math.max(m, Math.abs(v)), 1);

      // dpm_adaptive's step sizes come out of float32 errors of the latents, so its σ differ by up to 2e-4: count its calls, compare its end.
      const adaptive = c.sampler === 'sample_dpm_adaptive';
      // Each call by itself: whatever x the solver asks about is compared with the recorded one and then replaced by it.
      let [call, single] = [0, 0];
      const forced = await run(async (x, sigma) => {
        const recorded = c.calls[call++]!;
        if (!adaptive) expect(Math.abs(sigma - recorded.sigma)).toBeLessThanOrEqual(2e-6 * recorded.sigma);
        single = Math.max(single, gap((x as HostTensor).data, recorded.x) / scale(recorded.x));
        (x as HostTensor).data.set(recorded.x);
        return float32(recorded.denoised, c.shape);
      });
      expect(call).toBe(c.calls.length);
      single = Math.max(single, gap(forced, c.final) / scale(c.final));
      let calls = 0;
      const closed = gap(await run((x, sigma) => (calls++, goldenAnswer(c.model, models, x, Math.fround(sigma)))), c.final);
      const tolerance = wider[c.id] ?? c.tol.atol_closed_loop;
      results.add(c.sampler, { ...(!adaptive && { step: single / 2e-6 }), closed: closed / tolerance });
      if (!adaptive) expect(single, 'one call').toBeLessThanOrEqual(2e-6);
      if (c.tol.same_call_count_under_jitter === false) return;
      expect(calls).toBe(c.calls.length);
      expect(closed, 'closed loop').toBeLessThanOrEqual(tolerance);
    });
  }
});
