/*
 * A raw network of diffusers → Denoiser on the scheduler's own latents x = α(σ)·x₀ + σ·n:   D = skip·x + out·F(in·x; t)
 *
 *   ve     α = 1            in 1/√(1 + σ²)    ε: (1, −σ)         v: (1/(1 + σ²), −σ/√(1 + σ²))     x₀: (0, 1)      Euler, LMS, Heun, KDPM2, DPM-SDE
 *   vp     α = √(1 − σ²)    in 1              ε: (1/α, −σ/α)     v: (α, −σ)                        x₀: (0, 1)      the others
 *   flow   α = 1 − σ        in 1              u: (1, −σ)         ε, v as vp
 *   edm    α = 1            in 1/√(σ² + σ_d²)    (σ_d²/(σ² + σ_d²), ±σ·σ_d/√(σ² + σ_d²))
 */
import { applyThreshold, CapabilityError, lincomb, staticThreshold, type Denoiser, type MaybePromise, type Network, type Tensor } from '@ediffi/core';
import { combine } from '../../solvers/solver.js';
import type { Options } from './config.js';

/** The space the solver works in. */
export type Form = 've' | 'vp' | 'flow';

/** α(σ) of a form. */
export const alphaOf: Readonly<Record<Form, (sigma: number) => number>> = {
  ve: () => 1,
  vp: (sigma) => Math.sqrt(Math.max(0, 1 - sigma * sigma)),
  flow: (sigma) => 1 - sigma,
};

/** Coefficients of D = skip·x + out·F(in·x). */
export interface Reading {
  readonly in: number;
  readonly skip: number;
  readonly out: number;
}

/** How a class reads its network at σ. Throws CapabilityError for a prediction type the form does not know. */
export function readingOf(form: Form, prediction: string, name: string): (sigma: number) => Reading {
  const alpha = alphaOf[form];
  const refuse = (): never => {
    throw new CapabilityError('prediction_type', `${name}: prediction_type ${JSON.stringify(prediction)} is not defined for this class`);
  };
  if (form === 've') {
    const scale = (s: number): number => 1 / Math.sqrt(1 + s * s);
    if (prediction === 'epsilon') return (s) => ({ in: scale(s), skip: 1, out: -s });
    if (prediction === 'v_prediction') return (s) => ({ in: scale(s), skip: 1 / (1 + s * s), out: -s * scale(s) });
    return prediction === 'sample' || prediction === 'original_sample' ? (s) => ({ in: scale(s), skip: 0, out: 1 }) : refuse();
  }
  if (prediction === 'sample') return () => ({ in: 1, skip: 0, out: 1 });
  if (prediction === 'v_prediction') return (s) => ({ in: 1, skip: alpha(s), out: -s });
  if (prediction === 'flow_prediction') return (s) => ({ in: 1, skip: 1, out: -s });
  return prediction === 'epsilon' ? (s) => ({ in: 1, skip: 1 / alpha(s), out: -s / alpha(s) }) : refuse();
}

/** The bound on D that a class's thresholding or clip_sample asks for; undefined for none. */
export function boundOf(options: Options): ((x: Tensor) => MaybePromise<Tensor>) | undefined {
  if (options['thresholding'] === true) return (x) => applyThreshold(x, { dynamic: Number(options['dynamic_thresholding_ratio']), limit: Number(options['sample_max_value']) });
  if (options['clip_sample'] === true) return (x) => staticThreshold(x, Number(options['clip_sample_range']));
  return undefined;
}

/** What a denoiser needs of a recipe. */
export interface NetworkPlan {
  readonly form: Form;
  readonly range: readonly [sigmaMin: number, sigmaMax: number];
  readonly reading: (sigma: number) => Reading;
  readonly timestep: (sigma: number) => number;
  readonly bound?: ((x: Tensor) => MaybePromise<Tensor>) | undefined;
  /** Consistency functions: D ← skip·x + out·D, after the bound. */
  readonly boundary?: ((sigma: number) => { readonly skip: number; readonly out: number }) | undefined;
}

/** The raw network as a Denoiser. Rejects with CapabilityError where D divides by α = 0. */
export function denoiserOf<C>(network: Network<C>, { form, range, reading, timestep, bound, boundary }: NetworkPlan): Denoiser<C> {
  const alpha = alphaOf[form];
  return {
    sigmaMin: range[0],
    sigmaMax: range[1],
    alpha,
    async denoise(x, sigma, condition, call) {
      const c = reading(sigma);
      if (!Number.isFinite(c.out)) throw new CapabilityError('prediction_type', `epsilon prediction has no picture at α = 0 (σ = ${sigma}, zero terminal SNR) — use a v-prediction model`);
      const scaled = c.in === 1 ? x : await lincomb([c.in, x]);
      const raw = await network(scaled, timestep(sigma), sigma / Math.max(alpha(sigma), 1e-6), condition, call);
      if (scaled !== x) scaled.dispose();
      const denoised = await combine([c.skip, x], [c.out, raw]);
      raw.dispose();
      const bounded = bound ? await bound(denoised) : denoised;
      if (bounded !== denoised) denoised.dispose();
      if (!boundary) return bounded;
      const edge = boundary(sigma);
      const consistent = await combine([edge.skip, x], [edge.out, bounded]);
      bounded.dispose();
      return consistent;
    },
    dispose: async () => network.dispose?.(),
  };
}
