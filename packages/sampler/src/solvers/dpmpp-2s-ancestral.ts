/*
 * With t = −ln σ, h = t_down − t, σ_s = e^−(t + h/2):
 *
 *   x_s = (σ_s/σ)·x − (e^(−h/2) − 1)·D(x; σ),   x′ = (σ_down/σ)·x − (e^(−h) − 1)·D(x_s; σ_s) + σ_up·n
 *
 * DPM-Solver++(2S), arXiv 2211.01095, Algorithm 1, with ancestral noise (ancestral.ts); k-diffusion's sample_dpmpp_2s_ancestral.
 * Two network calls per step; second order for η = 0; only for α ≡ 1.
 */
import { lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { ancestralLoop, type AncestralOptions } from './ancestral.js';
import { eulerStep, type Step } from './solver.js';

/** DPM++ 2S ancestral: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1, OptionError for a negative η. */
export const dpmpp2sAncestral = (denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> =>
  ancestralLoop('dpmpp2sAncestral', denoise, x, sigmas, options, async (from, denoised, sigma, down) => {
    if (down === 0) return eulerStep(from, denoised, sigma, down);
    const middle = Math.sqrt(sigma * down);
    const xs = await eulerStep(from, denoised, sigma, middle);
    const ds = await denoise(xs, middle);
    const next = await lincomb([down / sigma, from], [1 - down / sigma, ds]);
    xs.dispose();
    ds.dispose();
    return next;
  });
