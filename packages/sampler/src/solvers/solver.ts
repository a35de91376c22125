import { CapabilityError, OptionError, SigmaRangeError, lincomb, randn, Generator, type Denoise, type MaybePromise, type Tensor, type Term } from '@ediffi/core';

/** One entry of a solver's memory: a network answer (or its noise form) at an earlier σ, with what else that step needs later. */
export interface Past {
  readonly sigma: number;
  readonly value: Tensor;
  readonly x?: Tensor;
  readonly noise?: Tensor;
  /** What is no tensor, in the solver's own order (dpmAdaptive's controller). */
  readonly numbers?: readonly number[];
}

/** Where to go on: the step to start with, and the memory that a multistep solver had there (newest first). Tensors are borrowed. */
export interface Resume {
  readonly index: number;
  readonly history?: readonly Past[];
}

/** What a solver shows after each step. `x`, `denoised` and `history` are borrowed: valid until the next step. */
export interface Step {
  readonly index: number;
  readonly count: number;
  readonly sigma: number;
  readonly sigmaNext: number;
  /** The picture after the step, at sigmaNext. */
  readonly x: Tensor;
  /** D(x; σ) of the step's first network call: the preview. */
  readonly denoised: Tensor;
  /** The solver's memory after the step: what `checkpoint` saves. */
  readonly history?: readonly Past[];
}

/** Standard normal noise of a shape for the interval from σ down to σ′; sequential generators may ignore the interval. */
export interface Noise {
  (shape: readonly number[], sigma: number, sigmaNext: number): MaybePromise<Tensor>;
  /** One Brownian path: overlapping intervals give correlated draws. */
  readonly path?: boolean;
  /** The same source as one Brownian path per picture, for solvers whose intervals overlap; `seed` in place of the source's own. Absent: the source has none. */
  readonly asPath?: (seed?: number) => Noise;
}

/** Refuses a Brownian path where draws must be independent although their intervals overlap. Throws OptionError. */
export function requireIndependent(noise: Noise, solver: string): void {
  if (noise.path) throw new OptionError('noise', 'brownianNoise', `independent draws such as seededNoise(seed): ${solver} goes through the same σ more than once`);
}

/** Options every solver takes. */
export interface SolverOptions {
  readonly resume?: Resume;
  /** How many steps the run was planned with, where rules that lower the order towards the end should count more than the grid has. */
  readonly planned?: number;
}

/** Options of a solver that adds noise. */
export interface NoisyOptions extends SolverOptions {
  /** Where the noise comes from; seededNoise(0) by default. */
  readonly noise?: Noise;
  /** Multiplies each draw; 1 by default. */
  readonly noiseScale?: number;
}

/** A solver: x at σ₀ and a decreasing grid in, a step at a time out; returns x at the last σ, which is the caller's. */
export type Solver<O extends object = object> = (denoise: Denoise, x: Tensor, sigmas: Float64Array, options?: O) => AsyncGenerator<Step, Tensor, void>;

/** Noise from PyTorch's CPU generator, in the order it is asked for. */
export function seededNoise(seed: number | bigint | Generator): Noise {
  const generator = seed instanceof Generator ? seed : new Generator(seed);
  return (shape) => randn(shape, generator);
}

/** Refuses a grid that is not finite, strictly decreasing (rising: increasing), non-negative and at least one step long; `repeatLast` allows the last σ twice. Throws SigmaRangeError. */
export function checkGrid(sigmas: Float64Array, rising = false, repeatLast = false): void {
  if (sigmas.length < 2) throw new SigmaRangeError(`grid: at least two noise levels make a step, got ${sigmas.length}`, Number.NaN);
  sigmas.forEach((sigma, i) => {
    const before = sigmas[i - 1] ?? (rising ? -1 : Infinity);
    if (repeatLast && i > 1 && i === sigmas.length - 1 && sigma === before) return;
    if (!(sigma >= 0 && sigma < Infinity && (rising ? sigma > before : sigma < before))) {
      throw new SigmaRangeError(`grid: σ must be finite, 0 or above, and ${rising ? 'increase' : 'decrease'}, got ${before} → ${sigma} at index ${i}`, sigma);
    }
  });
}

/** α of a model, λ = ln(α/σ), and the way back. */
export interface Frame {
  readonly alpha: (sigma: number) => number;
  readonly lambda: (sigma: number) => number;
  /** σ with ln(α/σ) = λ, which decreases in λ. */
  readonly sigmaAt: (lambda: number) => number;
}

/** The α of a denoiser (1 unless it says otherwise) and what follows from it. */
export function frame(denoise: Denoise): Frame {
  const alpha = denoise.alpha ?? (() => 1);
  const lambda = (sigma: number): number => Math.log(alpha(sigma) / sigma);
  const edm = alpha(0.5) === 1;
  return {
    alpha,
    lambda,
    sigmaAt(target) {
      if (edm) return Math.exp(-target);
      let [low, high] = [0, 1]; // α falls from 1 to 0 on σ ∈ [0, 1] for VP and flow models: bisection to the last bit
      for (let i = 0; i < 1100 && low < high; i++) {
        const middle = (low + high) / 2;
        if (middle === low || middle === high) break;
        if (lambda(middle) > target) low = middle;
        else high = middle;
      }
      return low || high;
    },
  };
}

/** Refuses models whose α is not linear in σ with α(0) = 1: for rules on dx/dσ = (x − D)/σ. Throws CapabilityError. */
export function requireLinear(denoise: Denoise, solver: string): void {
  const { alpha } = frame(denoise);
  if (Math.abs(2 * alpha(0.4) - alpha(0) - alpha(0.8)) < 1e-9 && alpha(0) === 1) return;
  throw new CapabilityError('solver', `${solver} steps on dx/dσ = (x − D)/σ, which needs α linear in σ (EDM, VE or flow), not a VP model — wrap the network with epsilon() or velocity(), which rescale it to α ≡ 1`, { solver });
}

/** Σ cᵢ·tᵢ without the terms whose coefficient is 0. */
export function combine(...terms: Term[]): MaybePromise<Tensor<'float32'>> {
  const used = terms.filter(([coefficient]) => coefficient !== 0);
  return used.length > 0 ? lincomb(...used) : lincomb(terms[0]!);
}

/**
 * The first-order step x′ = (σ′/σ)·x + (α′ − α·σ′/σ)·D: exact when D is constant, for every α (DDIM). `to` may be less than σ′ when
 * noise will make up the rest.
 */
export function firstOrder(at: Frame, x: Tensor, denoised: Tensor, sigma: number, sigmaNext: number, to = sigmaNext): Term[] {
  return [
    [to / sigma, x],
    [at.alpha(sigmaNext) - (at.alpha(sigma) * to) / sigma, denoised],
  ];
}
