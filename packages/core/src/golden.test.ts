import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const { cases } = JSON.parse(readFileSync(new URL('../golden/functions.json', import.meta.url), 'utf8')) as { cases: { fn: string }[] };

/** Golden functions and where every case of them is replayed. */
const replayed: Readonly<Record<string, string>> = {
  edm_precondition: 'core/src/denoiser', cfg_rescale: 'core/src/denoiser', dynamic_threshold: 'core/src/denoiser',
  expert_interval: 'core/src/ensemble', expert_intervals: 'core/src/ensemble', lognormal_quantile: 'core/src/ensemble', expert_sample: 'core/src/ensemble',
  interpolate: 'core/src/regions', add_noise: 'sampler/src/adapters', scale_noise: 'sampler/src/adapters',
  frechet_distance: 'ediffi/src/evaluate', frechet_from_features: 'ediffi/src/evaluate', kid_mmd2_unbiased: 'ediffi/src/evaluate',
};
/** Left out: what an exported graph or a training script does itself, so that the SDK has no such function. */
const leftOut: Readonly<Record<string, string>> = {
  timestep_embedding: 'inside every exported network', gaussian_fourier_projection: 'inside every exported network', t5_relative_position_bucket: 'inside every exported T5 encoder',
  min_snr_weights: 'a training loss', sd3_loss_weight: 'a training loss',
};

describe('golden functions', () => {
  it('each is replayed somewhere or left out for a reason', () => {
    console.log(Object.entries(leftOut).map(([fn, why]) => `left out: ${fn} — ${why}`).join('\n'));
    expect([...new Set(cases.map((c) => c.fn))].filter((fn) => !(fn in replayed) && !(fn in leftOut))).toEqual([]);
  });
});
