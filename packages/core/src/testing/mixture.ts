/*
 * The exact denoiser of a mixture of Gaussians, elementwise: the second oracle, with a nonlinear score.
 * Its ODE has no closed form: `solve` integrates dx/dσ with RK4 on a fine grid in float64.
 */
import type { Denoise } from '../denoiser/denoiser.js';
import { floats, float32 } from '../tensor/host.js';
import type { Tensor } from '../tensor/tensor.js';
import { edmAlpha, type Alpha } from './gaussian.js';

/** One component: weight, mean, standard deviation. */
export interface Component {
  readonly weight: number;
  readonly mean: number;
  readonly std: number;
}

/** D(x; σ) of a one-dimensional mixture, its float64 form, and a reference solution of its ODE. */
export function mixture(components: readonly Component[], alpha: Alpha = edmAlpha): { denoise: Denoise; at(x: number, sigma: number): number; solve(x: number, from: number, to: number, steps?: number): number } {
  const at = (x: number, sigma: number): number => {
    const a = alpha(sigma);
    const logs = components.map(({ weight, mean, std }) => {
      const v = (a * std) ** 2 + sigma ** 2;
      return Math.log(weight) - 0.5 * Math.log(v) - (x - a * mean) ** 2 / (2 * v);
    });
    const top = Math.max(...logs);
    const shares = logs.map((l) => Math.exp(l - top));
    const sum = shares.reduce((p, q) => p + q, 0);
    return components.reduce((total, { mean, std }, k) => total + (shares[k]! / sum) * (mean + ((a * std ** 2) / ((a * std) ** 2 + sigma ** 2)) * (x - a * mean)), 0);
  };
  const denoise = async (x: Tensor, sigma: number): Promise<Tensor> => float32((await floats(x)).map((v) => at(v, sigma)), x.shape);
  // α is linear in σ with α(0) = 1, so dx/dσ = (x − D)/σ holds for EDM and flow alike.
  const slope = (x: number, sigma: number): number => (x - at(x, sigma)) / sigma;
  return {
    denoise: Object.assign(denoise, { alpha }),
    at,
    solve(x, from, to, steps = 4000) {
      let y = x;
      const ratio = (to / from) ** (1 / steps);
      for (let i = 0, s = from; i < steps; i++, s *= ratio) {
        const h = s * (ratio - 1);
        const k1 = slope(y, s);
        const k2 = slope(y + (h / 2) * k1, s + h / 2);
        const k3 = slope(y + (h / 2) * k2, s + h / 2);
        const k4 = slope(y + h * k3, s + h);
        y += (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4);
      }
      return y;
    },
  };
}
