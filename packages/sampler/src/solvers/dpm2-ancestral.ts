/*
 *   DPM2 from σ to σ_down with its mid-point σ_m = √(σ·σ_down), then x′ = x_down + σ_up·n   (σ_down, σ_up: euler-ancestral.ts)
 *
 * k-diffusion's sample_dpm_2_ancestral. Two network calls per step (one on a step that ends without noise to go down from); stochastic;
 * order 2 with η = 0. Only for α ≡ 1 and, with η = 0, flow.
 */
import { CapabilityError, lincomb, type Denoise, type Tensor } from '@ediffi/core';
import { ancestralOptions, ancestralSplit, type AncestralOptions } from './euler-ancestral.js';
import { loop } from './loop.js';
import { combine, firstOrder, frame, requireLinear, type Step } from './solver.js';

/** DPM2 ancestral: x `[B, …]` at sigmas[0] → x at the last σ. Throws CapabilityError for α ≢ 1 when η > 0, OptionError for a negative η. */
export function dpm2Ancestral(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: AncestralOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const { eta, noiseScale, noise } = ancestralOptions(options);
  requireLinear(denoise, 'dpm2Ancestral');
  const at = frame(denoise);
  if (eta > 0 && at.alpha(0.5) !== 1) throw new CapabilityError('solver', 'dpm2Ancestral steps to σ_down in σ, where a flow model would need α(σ_down) ≠ α(σ′) — use eulerAncestral or dpmpp2sAncestral, which step in log-SNR');
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, evaluate, own }) => {
    const { down, up } = ancestralSplit(at, sigma, sigmaNext, eta);
    const noisy = async (): Promise<readonly (readonly [number, Tensor])[]> => (up === 0 ? [] : [[up * noiseScale, await own(noise(x.shape, sigma, sigmaNext))]]);
    if (down === 0) return combine(...firstOrder(at, x, denoised, sigma, sigmaNext, down), ...(await noisy()));
    const middle = Math.sqrt(sigma * down);
    const y = await own(lincomb(...firstOrder(at, x, denoised, sigma, middle)));
    const d = await evaluate(y, middle);
    const h = (down - sigma) / middle;
    return combine([1, x], [h, y], [-h, d], ...(await noisy()));
  };
  return loop(denoise, x, sigmas, rule, { resume: options.resume });
}
