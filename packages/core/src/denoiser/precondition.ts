/*
 * EDM preconditioning (Karras et al. 2022, arXiv 2206.00364, eq. 7 and Table 1), used by eDiff-I (arXiv 2211.01324):
 *
 *   D(x; σ) = c_skip·x + c_out·F(c_in·x; c_noise)
 *   c_skip = σ_d²/(σ² + σ_d²)   c_out = σ·σ_d/√(σ² + σ_d²)   c_in = 1/√(σ² + σ_d²)   c_noise = ln(σ)/4
 */
import type { Conditioning } from '../conditioning/conditioning.js';
import { finiteNumber } from '../errors/check.js';
import { SigmaRangeError } from '../errors/errors.js';
import { lincomb } from '../tensor/lincomb.js';
import type { Tensor } from '../tensor/tensor.js';
import type { CallOptions, Denoiser } from './denoiser.js';

/** The raw network F: scaled picture `[B, C, H, W]`, its noise input c_noise, and the true σ (for what depends on noise, like regions). */
export interface Network<C = Conditioning> {
  (x: Tensor, noise: number, sigma: number, condition: C, options?: CallOptions): Promise<Tensor>;
  dispose?(): Promise<void>;
}

/** How σ enters the network: ln σ (as printed in eDiff-I notes), ln(σ)/4 (EDM's code), or a function. */
export type NoiseInput = 'log' | 'log/4' | ((sigma: number) => number);

/** Options of precondition. */
export interface PreconditionOptions {
  /** Standard deviation of the training pictures. */
  readonly sigmaData: number;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly noise?: NoiseInput;
}

/** The four scalars of EDM at σ. */
export function edmCoefficients(sigma: number, sigmaData: number): { skip: number; out: number; in: number } {
  const total = sigma * sigma + sigmaData * sigmaData;
  return { skip: (sigmaData * sigmaData) / total, out: (sigma * sigmaData) / Math.sqrt(total), in: 1 / Math.sqrt(total) };
}

/** c_noise as a function. */
export function noiseInput(kind: NoiseInput): (sigma: number) => number {
  if (typeof kind === 'function') return kind;
  return kind === 'log' ? Math.log : (sigma) => Math.log(sigma) / 4;
}

/** Throws SigmaRangeError unless min ≤ σ ≤ max (one part in 10⁹ of slack for rounded grids). */
export function checkSigma(sigma: number, min: number, max: number, who: string): void {
  if (sigma >= min * (1 - 1e-9) && sigma <= max * (1 + 1e-9)) return;
  throw new SigmaRangeError(`${who}: σ = ${sigma} is outside [${min}, ${max}] — use a grid within the model's range`, sigma);
}

/** Returns the range if 0 < sigmaMin ≤ sigmaMax; throws OptionError otherwise. */
export function checkRange<R extends { readonly sigmaMin: number; readonly sigmaMax: number }>(range: R): R {
  finiteNumber('sigmaMin', range.sigmaMin, Number.MIN_VALUE);
  finiteNumber('sigmaMax', range.sigmaMax, range.sigmaMin);
  return range;
}

/**
 * Raw EDM network → Denoiser. Throws OptionError for a σ_data or range that is no positive number.
 *
 * @example
 * ```ts
 * import { bind, lincomb, precondition, randn, type Network } from '@ediffi/core';
 *
 * const network: Network = async (x, noise) => lincomb([noise, x]); // F(c_in·x; ln(σ)/4): a session, a server, a function
 * const denoiser = precondition(network, { sigmaData: 0.5, sigmaMin: 0.002, sigmaMax: 80 });
 * const D = bind(denoiser, { embeddings: {} });
 * console.log((await D(randn([1, 3, 8, 8], 1), 2)).shape);
 * ```
 */
export function precondition<C = Conditioning>(network: Network<C>, options: PreconditionOptions): Denoiser<C> {
  const { sigmaMin, sigmaMax } = checkRange(options);
  const sigmaData = finiteNumber('sigmaData', options.sigmaData, Number.MIN_VALUE);
  const noise = noiseInput(options.noise ?? 'log/4');
  return {
    sigmaMin,
    sigmaMax,
    alpha: () => 1,
    async denoise(x, sigma, condition, call) {
      checkSigma(sigma, sigmaMin, sigmaMax, 'denoiser');
      const c = edmCoefficients(sigma, sigmaData);
      const scaled = await lincomb([c.in, x]);
      const raw = await network(scaled, noise(sigma), sigma, condition, call).finally(() => scaled.dispose());
      const denoised = await lincomb([c.skip, x], [c.out, raw]);
      raw.dispose();
      return denoised;
    },
    dispose: async () => network.dispose?.(),
  };
}
