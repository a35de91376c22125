/*
 * Where the low-noise expert takes over. diffusers: with a share f of the N training timesteps, c = round(N − f·N); the first expert keeps t ≥ c.
 * In σ: the last σ below σ(c), because intervals are (σ_min, σ_max] and t = c belongs to the first.
 */
import { finiteNumber, OptionError } from '@ediffi/core';
import { trainedSchedule, type SchedulerConfig } from '@ediffi/sampler';

/** A share of the training timesteps, over 0 and under 1, or an EDM-like σ. */
export type ExpertCut = number | { readonly sigma: number };

/** The EDM-like σ of a cut. Throws OptionError for a share outside (0, 1) or a σ that is not above 0. */
export function cutAt(cut: ExpertCut, config: SchedulerConfig): number {
  if (typeof cut === 'object') return finiteNumber('cut σ', cut.sigma, Number.MIN_VALUE);
  if (!(cut > 0 && cut < 1)) throw new OptionError('cut', cut, 'a share of the timesteps over 0 and under 1, or { sigma }');
  const total = Number(config['num_train_timesteps'] ?? 1000);
  const at = Math.round(total - cut * total);
  const just = 1 - 1e-6; // as far below as no two timesteps are apart
  if (String(config['_class_name']).startsWith('FlowMatch') || config['use_flow_sigmas'] === true) return (at / total / Math.max(1 - at / total, 1e-6)) * just;
  const { sigmas } = trainedSchedule(config);
  return sigmas[Math.min(at, sigmas.length - 1)]! * just;
}
