/*
 * The exact denoiser of N(mean, std²) data, and where its probability-flow ODE leads: the first oracle for every solver.
 *   x = α·x₀ + σ·n,  v = α²s² + σ²:   D = μ + α·s²/v·(x − α·μ),   x(σ₁) = α₁μ + √(v₁/v₀)·(x(σ₀) − α₀μ)
 */
import { floats, float32 } from '../tensor/host.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Denoise } from '../denoiser/denoiser.js';

/** α ≡ 1 (EDM, VE) or α = 1 − σ (rectified flow). */
export type Alpha = (sigma: number) => number;

/** α of EDM models. */
export const edmAlpha: Alpha = () => 1;

/** α of rectified-flow models. */
export const flowAlpha: Alpha = (sigma) => 1 - sigma;

/** D(x; σ) of Gaussian data, elementwise, and the exact solution of its ODE. */
export function gaussian(mean: number, std: number, alpha: Alpha = edmAlpha): { denoise: Denoise; solve(x: number, from: number, to: number): number } {
  const variance = (sigma: number): number => (alpha(sigma) * std) ** 2 + sigma ** 2;
  const at = (x: number, sigma: number): number => mean + ((alpha(sigma) * std ** 2) / variance(sigma)) * (x - alpha(sigma) * mean);
  const denoise = async (x: Tensor, sigma: number): Promise<Tensor> => float32((await floats(x)).map((v) => at(v, sigma)), x.shape);
  return {
    denoise: Object.assign(denoise, { alpha }),
    solve: (x, from, to) => alpha(to) * mean + Math.sqrt(variance(to) / variance(from)) * (x - alpha(from) * mean),
  };
}
