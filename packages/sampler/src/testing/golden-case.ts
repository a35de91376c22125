import type { FromDiffusersOptions } from '../adapters/diffusers/recipe.js';
import type { SchedulerConfig } from '../adapters/diffusers/config.js';

/** `args` of a golden case, in the words of `fromDiffusers`. */
export function recipeArguments(name: string, config: Readonly<Record<string, unknown>>, setTimesteps: Readonly<Record<string, unknown>>, step: Readonly<Record<string, unknown>> = {}): [SchedulerConfig, FromDiffusersOptions] {
  const { tau_const: tau, ...rest } = config;
  const words: Record<string, string> = { num_inference_steps: 'steps', original_inference_steps: 'originalSteps', s_churn: 'churn', s_tmin: 'churnMin', s_tmax: 'churnMax', s_noise: 'noiseScale', use_clipped_model_output: 'useClippedModelOutput' };
  const options = Object.fromEntries([...Object.entries(setTimesteps), ...Object.entries(step)].map(([k, v]) => [words[k] ?? k, v]));
  return [{ _class_name: name, ...rest, ...(tau !== undefined && { tau_func: () => tau }) }, options];
}
