import { CapabilityError, SigmaRangeError, lincomb, randn, Generator, type Denoise, type Tensor } from '@ediffi/core';

/** What a solver shows after each step. `x` and `denoised` are borrowed: valid until the next step. */
export interface Step {
  readonly index: number;
  readonly count: number;
  readonly sigma: number;
  readonly sigmaNext: number;
  /** The picture after the step, at sigmaNext. */
  readonly x: Tensor;
  /** D(x; σ) of the step's first network call: the preview. */
  readonly denoised: Tensor;
}

/** Standard normal noise of a shape for the interval from σ to σ′: one draw per call, or an increment of one Brownian path over √|σ − σ′|. */
export type Noise = (shape: readonly number[], sigma: number, sigmaNext: number) => Tensor | Promise<Tensor>;

/** A solver: x at σ₀ and a decreasing grid in, a step at a time out; returns x at the last σ, which is the caller's. */
export type Solver<O extends object = object> = (denoise: Denoise, x: Tensor, sigmas: Float64Array, options?: O) => AsyncGenerator<Step, Tensor, void>;

/** Noise from PyTorch's CPU generator. */
export function seededNoise(seed: number | bigint | Generator): Noise {
  const generator = seed instanceof Generator ? seed : new Generator(seed);
  return (shape) => randn(shape, generator);
}

/** Refuses a grid that is not finite, strictly decreasing, non-negative and at least one step long. Throws SigmaRangeError. */
export function checkGrid(sigmas: Float64Array): void {
  if (sigmas.length < 2) throw new SigmaRangeError(`grid: at least two noise levels make a step, got ${sigmas.length}`, Number.NaN);
  sigmas.forEach((sigma, i) => {
    const before = sigmas[i - 1] ?? Infinity;
    if (!(sigma >= 0 && sigma < before && sigma < Infinity)) {
      throw new SigmaRangeError(`grid: σ must be finite and decrease to 0 or above, got ${before} → ${sigma} at index ${i}`, sigma);
    }
  });
}

/** Refuses models with α ≢ 1 for solvers that add noise in VE form. */
export function requireEdm(denoise: Denoise, solver: string, sigma: number): void {
  if (denoise.alpha && denoise.alpha(sigma) !== 1) {
    throw new CapabilityError('solver', `${solver} adds noise to x = x₀ + σ·n and needs α ≡ 1; this model has α(${sigma}) = ${denoise.alpha(sigma)} — use euler, heun or dpmpp2m`);
  }
}

/** The first-order step x′ = (σ′/σ)·x + (1 − σ′/σ)·D: exact for α linear in σ with α(0) = 1 (EDM, VE, rectified flow). */
export function eulerStep(x: Tensor, denoised: Tensor, sigma: number, sigmaNext: number): Tensor | Promise<Tensor> {
  return lincomb([sigmaNext / sigma, x], [1 - sigmaNext / sigma, denoised]);
}
