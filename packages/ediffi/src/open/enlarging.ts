import { float32 } from '@ediffi/core';
import { trainedSchedule } from '@ediffi/sampler';
import type { BaseStage, Upsampler } from '../stage.js';
import { readJson, type ModelIndex } from './model-index.js';

/** A stage that enlarges, from a network that takes the enlarged picture beside its own (IF): noised by the schedule of its own that the model has for that. */
export async function enlargingStage(index: ModelIndex, name: string, { size, multiple: _m, latents: _l, fixed: _f, ...stage }: BaseStage, below: number): Promise<Upsampler> {
  const config = await readJson(index.files, 'image_noising_scheduler/scheduler_config.json');
  const { alphasCumprod } = trainedSchedule(config);
  const sigma = (t: number): number => Math.sqrt(1 - alphasCumprod[t]!);
  return {
    ...stage,
    factor: size / below,
    residualScale: 1,
    augmentation: sigma(Math.min(50, alphasCumprod.length - 1)), // diffusers' noise_level
    beside: (up, amount, noise) => {
      const level = alphasCumprod.reduce((best, _, t) => (Math.abs(sigma(t) - amount) < Math.abs(sigma(best) - amount) ? t : best), 0);
      const [alpha, deviation] = [Math.sqrt(alphasCumprod[level]!), sigma(level)];
      return { channels: float32(up.data.map((v, i) => alpha * v + deviation * noise.data[i]!), up.shape), inputs: { class_labels: float32([level], [1]) } };
    },
  };
}
