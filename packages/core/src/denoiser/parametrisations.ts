/*
 * Raw networks of other families → Denoiser on x = α(σ)·x₀ + σ·n.
 *
 *   ε-prediction, VE form:   D = x − σ·ε(x/√(1 + σ²), t(σ))           (DDPM, arXiv 2006.11239; rescaled as in EDM §C.3.1)
 *   v-prediction, VE form:   D = x/(1 + σ²) − σ/√(1 + σ²)·v            (progressive distillation, arXiv 2202.00512 §4.2)
 *   flow, x = (1 − σ)·x₀ + σ·n:   D = x − σ·u, u = n − x₀              (rectified flow, arXiv 2209.03003)
 */
import type { Conditioning } from '../conditioning/conditioning.js';
import { lincomb } from '../tensor/lincomb.js';
import type { Denoiser } from './denoiser.js';
import { checkRange, checkSigma, type Network } from './precondition.js';

/** σ range of a wrapped network and its clock: σ → the number the network takes as timestep. */
export interface WrapOptions {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly timestep: (sigma: number) => number;
}

interface Coefficients {
  readonly in: number;
  readonly skip: number;
  readonly out: number;
}

function wrap<C>(network: Network<C>, options: WrapOptions, at: (sigma: number) => Coefficients, alpha: (sigma: number) => number, edmSigma: (sigma: number) => number): Denoiser<C> {
  const { sigmaMin, sigmaMax } = checkRange(options);
  return {
    sigmaMin,
    sigmaMax,
    alpha,
    async denoise(x, sigma, condition, call) {
      checkSigma(sigma, sigmaMin, sigmaMax, 'denoiser');
      const c = at(sigma);
      const scaled = c.in === 1 ? x : await lincomb([c.in, x]);
      const raw = await network(scaled, options.timestep(sigma), edmSigma(sigma), condition, call).finally(() => scaled !== x && scaled.dispose());
      const denoised = await lincomb([c.skip, x], [c.out, raw]);
      raw.dispose();
      return denoised;
    },
    dispose: async () => network.dispose?.(),
  };
}

const same = (sigma: number): number => sigma;

/** Noise-predicting VP network (Stable Diffusion) in VE form: x = x₀ + σ·n. */
export function epsilon<C = Conditioning>(network: Network<C>, options: WrapOptions): Denoiser<C> {
  return wrap(network, options, (s) => ({ in: 1 / Math.sqrt(1 + s * s), skip: 1, out: -s }), () => 1, same);
}

/** Velocity-predicting VP network (SD 2.x) in VE form. */
export function velocity<C = Conditioning>(network: Network<C>, options: WrapOptions): Denoiser<C> {
  const at = (s: number): Coefficients => ({ in: 1 / Math.sqrt(1 + s * s), skip: 1 / (1 + s * s), out: -s / Math.sqrt(1 + s * s) });
  return wrap(network, options, at, () => 1, same);
}

/** Rectified flow (SD3, FLUX): σ in [0, 1]. Regions see the EDM-like σ/(1 − σ): log(1 + σ) would be six times too weak. */
export function flow<C = Conditioning>(network: Network<C>, options: WrapOptions): Denoiser<C> {
  return wrap(network, options, (s) => ({ in: 1, skip: 1, out: -s }), (s) => 1 - s, (s) => s / Math.max(1 - s, 1e-6));
}
