/*
 *   F from D at (x, σ);  σ̂ = σ·(1 + γ),  x̂ = x + √(σ̂² − σ²)·S_noise·n;   D̂ = skip(σ̂)·x̂ + out(σ̂)·F,   x′ = x̂ + (σ′ − σ̂)·(x̂ − D̂)/σ̂
 *
 * Euler with diffusers' churn: the network is asked about (x, σ), its answer used at (x̂, σ̂). EDM's Algorithm 2 (and our `euler`) asks at (x̂, σ̂).
 */
import { type Denoise, type Tensor } from '@ediffi/core';
import { churnAt, type ChurnOptions } from '../../solvers/churn.js';
import { loop } from '../../solvers/loop.js';
import { combine, requireIndependent, seededNoise, type Step } from '../../solvers/solver.js';
import type { Reading } from './network.js';

/** Euler with churn after the call; `again` reads the answer at (σ, σ̂). */
export function lateChurn(denoise: Denoise, x: Tensor, sigmas: Float64Array, reading: (sigma: number) => Reading, again: (sigma: number, higher: number) => Pick<Reading, 'skip' | 'out'>, options: ChurnOptions): AsyncGenerator<Step, Tensor, void> {
  const { noise = seededNoise(0), noiseScale = 1 } = options;
  requireIndependent(noise, 'euler with churn');
  return loop(
    denoise,
    x,
    sigmas,
    async ({ x, denoised, sigma, sigmaNext, count, own }) => {
      const gamma = churnAt(options, sigma, count);
      const higher = sigma * (1 + gamma);
      const [first, second] = [reading(sigma), again(sigma, higher)];
      const keep = sigmaNext / higher;
      const terms: [number, Tensor][] = [[keep + (1 - keep) * (second.skip - (second.out * first.skip) / first.out), x], [((1 - keep) * second.out) / first.out, denoised]];
      if (gamma > 0) terms.push([noiseScale * Math.sqrt(higher ** 2 - sigma ** 2) * (keep + (1 - keep) * second.skip), await own(noise(x.shape, higher, sigma))]);
      return combine(...terms);
    },
    { resume: options.resume },
  );
}
