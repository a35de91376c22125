import { float32, floats, type Denoise, type Tensor } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dpm2, dpm2Ancestral, dpmpp2m, dpmpp2mSde, dpmpp2sAncestral, dpmpp3mSde, dpmppSde, euler, eulerAncestral, heun, lms, type Step } from './index.js';

interface Mixture { means: number[][]; stds: number[]; weights: number[] }
interface Case {
  id: string; sampler: string; kwargs: Record<string, number | string | boolean>; model: { params: string }; shape: number[];
  tol: { max_abs: number; atol_closed_loop: number }; sigmas?: (number | string)[]; init: number[]; calls: { sigma: number; x: number[]; denoised: number[] }[]; noise: number[][]; final: number[];
}
const { cases, models } = JSON.parse(readFileSync(new URL('../golden/traj_kdiffusion.json', import.meta.url), 'utf8')) as { cases: Case[]; models: Record<string, Mixture> };

/** k-diffusion's names and keywords in ours. */
const solvers: Record<string, (d: Denoise, x: Tensor, s: Float64Array, o: object) => AsyncGenerator<Step, Tensor, void>> = {
  sample_euler: euler, sample_heun: heun, sample_dpm_2: dpm2, sample_euler_ancestral: eulerAncestral, sample_dpm_2_ancestral: dpm2Ancestral, sample_dpmpp_2s_ancestral: dpmpp2sAncestral,
  sample_lms: lms, sample_dpmpp_2m: (d, x, s) => dpmpp2m(d, x, s), sample_dpmpp_sde: dpmppSde, sample_dpmpp_2m_sde: dpmpp2mSde, sample_dpmpp_3m_sde: dpmpp3mSde,
};
const keywords: Record<string, string> = { s_churn: 'churn', s_tmin: 'churnMin', s_tmax: 'churnMax', s_noise: 'noiseScale', eta: 'eta', order: 'order', r: 'r', solver_type: 'correction' };
/** Left out, with the reason. */
const leftOut: Record<string, string> = { sample_dpm_fast: 'not built yet', sample_dpm_adaptive: 'not built yet' };

/** The exact posterior mean of the case's mixture over axis 1, in float64 (golden/README). */
function model({ means, stds, weights }: Mixture, [batch = 1, channels = 1, ...rest]: number[]) {
  const pixels = rest.reduce((a, b) => a * b, 1);
  return (x: Float32Array, sigma: number): Float32Array => {
    const out = new Float32Array(x.length);
    for (let b = 0; b < batch; b++) {
      for (let p = 0; p < pixels; p++) {
        const at = (c: number): number => (b * channels + c) * pixels + p;
        const logs = means.map((mean, k) => {
          const v = stds[k]! ** 2 + sigma ** 2;
          const distance = mean.reduce((sum, m, c) => sum + (x[at(c)]! - m) ** 2, 0);
          return Math.log(weights[k]!) - (channels / 2) * Math.log(v) - distance / (2 * v);
        });
        const top = Math.max(...logs);
        const shares = logs.map((l) => Math.exp(l - top));
        const sum = shares.reduce((a, b_) => a + b_, 0);
        for (let c = 0; c < channels; c++) {
          out[at(c)] = means.reduce((total, mean, k) => {
            const v = stds[k]! ** 2 + sigma ** 2;
            return total + (shares[k]! / sum) * (mean[c]! + (stds[k]! ** 2 / v) * (x[at(c)]! - mean[c]!));
          }, 0);
        }
      }
    }
    return out;
  };
}

const worst: Record<string, { cases: number; ratio: number }> = {};

describe('k-diffusion trajectories', () => {
  const built = cases.filter((c) => solvers[c.sampler]);
  it('leaves out only what is listed', () => expect([...new Set(cases.filter((c) => !solvers[c.sampler]).map((c) => c.sampler))].sort()).toEqual(Object.keys(leftOut).sort()));

  for (const c of built) {
    it(c.id, async () => {
      const sigmas = Float64Array.from(c.sigmas!, Number);
      const options = Object.fromEntries(Object.entries(c.kwargs).map(([k, v]) => [keywords[k] ?? k, v]));
      // euler, heun and dpm_2 draw at every step, used or not: pick by the step's σ. The others draw exactly when they use it.
      const everyStep = ['sample_euler', 'sample_heun', 'sample_dpm_2'].includes(c.sampler);
      let drawn = 0;
      const noise = (shape: readonly number[], sigma: number): Tensor => float32(c.noise[everyStep ? sigmas.indexOf(sigma) : drawn++]!, shape);
      const run = async (denoise: Denoise): Promise<Float32Array> => {
        drawn = 0;
        const steps = solvers[c.sampler]!(denoise, float32(c.init, c.shape), sigmas, { ...options, noise });
        for (;;) {
          const { done, value } = await steps.next();
          if (done) return floats(value);
        }
      };
      const scale = Math.max(1, c.tol.max_abs);
      const gap = (a: ArrayLike<number>, b: readonly number[]): number => b.reduce((m, v, i) => Math.max(m, Math.abs(a[i]! - Math.fround(v))), 0);
      const exact = model(models[c.model.params]!, c.shape);

      // With recorded answers: every x that the solver asks about, and the end.
      let call = 0;
      let single = 0;
      const replayed = await run(async (x) => {
        const recorded = c.calls[call++]!;
        single = Math.max(single, gap(await floats(x), recorded.x));
        return float32(recorded.denoised, c.shape);
      });
      expect(call).toBe(c.calls.length);
      single = Math.max(single, gap(replayed, c.final));
      // Closed loop with the exact model.
      const closed = gap(await run(async (x, sigma) => float32(exact(await floats(x), sigma), c.shape)), c.final);
      const row = (worst[c.sampler] ??= { cases: 0, ratio: 0 });
      row.cases++;
      row.ratio = Math.max(row.ratio, single / (2e-6 * scale * c.calls.length), closed / c.tol.atol_closed_loop);
      expect(single, 'recorded answers: 2e-6 relative per call').toBeLessThanOrEqual(2e-6 * scale * c.calls.length);
      expect(closed, 'closed loop').toBeLessThanOrEqual(c.tol.atol_closed_loop);
    });
  }

  it('summary', () => {
    const lines = Object.entries(worst).map(([name, { cases: n, ratio }]) => `${name.padEnd(28)} ${String(n).padStart(2)} cases   worst error / tolerance ${ratio.toFixed(3)}`);
    console.log([...lines, ...Object.entries(leftOut).map(([name, why]) => `${name.padEnd(28)} left out: ${why}`)].join('\n'));
    expect(Object.values(worst).reduce((sum, { cases: n }) => sum + n, 0)).toBe(built.length);
  });
});
