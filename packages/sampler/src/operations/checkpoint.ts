import { float32, floats, type HostTensor, type Tensor } from '@ediffi/core';
import type { Past, Resume, Step } from '../solvers/solver.js';

/** Where a run stopped: the picture, and what the solver needs to go on exactly as it would have. On the host. */
export interface Checkpoint {
  readonly x: HostTensor;
  readonly resume: Resume;
}

const copy = async (tensor: Tensor): Promise<HostTensor> => float32(Float32Array.from(await floats(tensor)), tensor.shape);

/**
 * Copies what a step shows, to go on later: `solver(denoise, saved.x, sigmas, { resume: saved.resume })` on the same grid, with the same
 * options. Steps that draw noise go on alike if their noise depends on σ alone (`brownianNoise`) or its generator is where it was.
 *
 * @example
 * ```ts
 * import { lincomb, randn } from '@ediffi/core';
 * import { gaussian } from '@ediffi/core/testing';
 * import { checkpoint, dpmpp2m, karras, type Checkpoint } from '@ediffi/sampler';
 *
 * const [{ denoise }, sigmas] = [gaussian(0, 0.5), karras(10, { sigmaMin: 0.02, sigmaMax: 80 })];
 * let saved: Checkpoint | undefined;
 * for await (const step of dpmpp2m(denoise, await lincomb([80, randn([4], 7)]), sigmas)) {
 *   if (step.index !== 4) continue;
 *   saved = await checkpoint(step);
 *   break; // later, elsewhere:
 * }
 * for await (const { index } of dpmpp2m(denoise, saved!.x, sigmas, { resume: saved!.resume })) console.log(index); // 5 … 9
 * ```
 */
export async function checkpoint(step: Step): Promise<Checkpoint> {
  const history = await Promise.all((step.history ?? []).map(async ({ sigma, value, x, noise, numbers }): Promise<Past> => ({ sigma, value: await copy(value), ...(x && { x: await copy(x) }), ...(noise && { noise: await copy(noise) }), ...(numbers && { numbers: [...numbers] }) })));
  return { x: await copy(step.x), resume: { index: step.index + 1, history } };
}
