import { float32, floats, type HostTensor, type Tensor } from '@ediffi/core';
import type { Past, Resume, Step } from '../solvers/solver.js';

/** Where a run stopped: the picture, and what the solver needs to go on exactly as it would have. On the host. */
export interface Checkpoint {
  readonly x: HostTensor;
  readonly resume: Resume;
}

const copy = async (tensor: Tensor): Promise<HostTensor> => float32(Float32Array.from(await floats(tensor)), tensor.shape);

/**
 * Copies what a step shows, to go on later: `solver(denoise, saved.x, sigmas, { resume: saved.resume })` on the same grid. Steps that draw noise go on
 * alike if their noise depends on σ alone (`brownianNoise`) or its generator is where it was.
 */
export async function checkpoint(step: Step): Promise<Checkpoint> {
  const history = await Promise.all((step.history ?? []).map(async ({ sigma, value, x, noise }): Promise<Past> => ({ sigma, value: await copy(value), ...(x && { x: await copy(x) }), ...(noise && { noise: await copy(noise) }) })));
  return { x: await copy(step.x), resume: { index: step.index + 1, history } };
}
