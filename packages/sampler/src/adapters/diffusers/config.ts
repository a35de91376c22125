/*
 * diffusers' scheduler classes: their options with default values (diffusers 0.42). `null` stands for None; Infinity is legal where Python's is.
 */
import { CapabilityError, nearest, OptionError } from '@ediffi/core';

/** A value in scheduler_config.json. */
export type ConfigValue = string | number | boolean | null | readonly number[];

/** The content of a hub scheduler_config.json; `_class_name` says which class. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** What most classes take a model to have been trained on. */
export const trained = { num_train_timesteps: 1000, beta_start: 0.0001, beta_end: 0.02, beta_schedule: 'linear', trained_betas: null, prediction_type: 'epsilon' };
const sensible = { ...trained, beta_start: 0.00085, beta_end: 0.012 };
const thresholds = { thresholding: false, dynamic_thresholding_ratio: 0.995, sample_max_value: 1 };
const clips = { clip_sample: true, clip_sample_range: 1 };
const spaced = { timestep_spacing: 'linspace', steps_offset: 0 };
const ramps = { use_karras_sigmas: false, use_exponential_sigmas: false, use_beta_sigmas: false };
const flows = { use_flow_sigmas: false, flow_shift: 1 };
const shifting = { use_dynamic_shifting: false, time_shift_type: 'exponential' };
const dpm = { ...trained, ...thresholds, ...ramps, ...flows, solver_order: 2, algorithm_type: 'dpmsolver++', solver_type: 'midpoint', lower_order_final: true, lambda_min_clipped: -Infinity, variance_type: null };
const distilled = { ...sensible, beta_schedule: 'scaled_linear', ...thresholds, ...clips, clip_sample: false, original_inference_steps: 50, set_alpha_to_one: true, timestep_spacing: 'leading', steps_offset: 0, timestep_scaling: 10, rescale_betas_zero_snr: false };
const edm = { sigma_min: 0.002, sigma_max: 80, sigma_data: 0.5, sigma_schedule: 'karras', num_train_timesteps: 1000, prediction_type: 'epsilon', rho: 7, final_sigmas_type: 'zero' };
const flowMatch = { num_train_timesteps: 1000, shift: 1, ...shifting, base_shift: 0.5, max_shift: 1.15, base_image_seq_len: 256, max_image_seq_len: 4096, invert_sigmas: false, shift_terminal: null, ...ramps };

/** Options and defaults of every class we read. */
export const classes = {
  DDPMScheduler: { ...trained, ...thresholds, ...clips, variance_type: 'fixed_small', timestep_spacing: 'leading', steps_offset: 0, rescale_betas_zero_snr: false },
  DDIMScheduler: { ...trained, ...thresholds, ...clips, set_alpha_to_one: true, timestep_spacing: 'leading', steps_offset: 0, rescale_betas_zero_snr: false },
  DDIMInverseScheduler: { ...trained, ...clips, set_alpha_to_one: true, timestep_spacing: 'leading', steps_offset: 0, rescale_betas_zero_snr: false },
  PNDMScheduler: { ...trained, skip_prk_steps: false, set_alpha_to_one: false, timestep_spacing: 'leading', steps_offset: 0 },
  EulerDiscreteScheduler: { ...trained, ...ramps, ...spaced, interpolation_type: 'linear', sigma_min: null, sigma_max: null, timestep_type: 'discrete', rescale_betas_zero_snr: false, final_sigmas_type: 'zero' },
  EulerAncestralDiscreteScheduler: { ...trained, ...spaced, rescale_betas_zero_snr: false },
  LMSDiscreteScheduler: { ...trained, ...ramps, ...spaced },
  HeunDiscreteScheduler: { ...sensible, ...ramps, ...spaced, ...clips, clip_sample: false },
  KDPM2DiscreteScheduler: { ...sensible, ...ramps, ...spaced },
  KDPM2AncestralDiscreteScheduler: { ...sensible, ...ramps, ...spaced },
  DPMSolverSDEScheduler: { ...sensible, ...ramps, ...spaced, noise_sampler_seed: null },
  DPMSolverMultistepScheduler: { ...dpm, ...spaced, ...shifting, euler_at_final: false, use_lu_lambdas: false, final_sigmas_type: 'zero', rescale_betas_zero_snr: false },
  DPMSolverMultistepInverseScheduler: { ...dpm, ...spaced, euler_at_final: false },
  DPMSolverSinglestepScheduler: { ...dpm, ...shifting, lower_order_final: false, final_sigmas_type: 'zero' },
  UniPCMultistepScheduler: { ...trained, ...thresholds, ...ramps, ...flows, ...spaced, ...shifting, solver_order: 2, predict_x0: true, solver_type: 'bh2', lower_order_final: true, disable_corrector: [], solver_p: null, final_sigmas_type: 'zero', rescale_betas_zero_snr: false, sigma_min: null, sigma_max: null, shift_terminal: null },
  DEISMultistepScheduler: { ...trained, ...thresholds, ...ramps, ...flows, ...spaced, ...shifting, solver_order: 2, algorithm_type: 'deis', solver_type: 'logrho', lower_order_final: true },
  SASolverScheduler: { ...trained, ...thresholds, ...ramps, ...flows, ...spaced, predictor_order: 2, corrector_order: 2, tau_func: null, algorithm_type: 'data_prediction', lower_order_final: true, lambda_min_clipped: -Infinity, variance_type: null },
  LCMScheduler: distilled,
  TCDScheduler: distilled,
  EDMEulerScheduler: edm,
  EDMDPMSolverMultistepScheduler: { ...edm, ...thresholds, solver_order: 2, algorithm_type: 'dpmsolver++', solver_type: 'midpoint', lower_order_final: true, euler_at_final: false },
  FlowMatchEulerDiscreteScheduler: { ...flowMatch, stochastic_sampling: false },
  FlowMatchHeunDiscreteScheduler: { num_train_timesteps: 1000, shift: 1 },
  FlowMatchLCMScheduler: { ...flowMatch, scale_factors: null, upscale_mode: 'bicubic' },
  CMStochasticIterativeScheduler: { num_train_timesteps: 40, sigma_min: 0.002, sigma_max: 80, sigma_data: 0.5, s_noise: 1, rho: 7, clip_denoised: true },
  IPNDMScheduler: { num_train_timesteps: 1000, trained_betas: null },
} as const satisfies Record<string, Record<string, ConfigValue>>;

/** Name of a scheduler class that `fromDiffusers` reads. */
export type SchedulerClass = keyof typeof classes;

/** A class's options after defaults. */
export type Options = Readonly<Record<string, ConfigValue>>;

/** The name of a class without the prefix of its JAX twin. */
const className = (config: SchedulerConfig): string => String(config['_class_name']).replace(/^Flax/, '');

/** The options that say what a model was trained on, after the defaults of the config's class; of a class that is not known, after the usual ones. */
export const trainedOptions = (config: SchedulerConfig): Options => ({ ...trained, ...(classes as Readonly<Record<string, Options>>)[className(config)], ...(config as Options) });

const everywhere = new Set(Object.values(classes).flatMap((options) => Object.keys(options)));
const legal: Readonly<Record<string, readonly ConfigValue[]>> = {
  prediction_type: ['epsilon', 'sample', 'v_prediction', 'flow_prediction', 'original_sample'],
  timestep_spacing: ['leading', 'linspace', 'trailing'],
  final_sigmas_type: ['zero', 'sigma_min'],
  interpolation_type: ['linear', 'log_linear'],
  timestep_type: ['discrete', 'continuous'],
  sigma_schedule: ['karras', 'exponential'],
  time_shift_type: ['exponential', 'linear'],
};

/** The class's options with the config's values. Throws CapabilityError for an unknown class, OptionError for an unknown option or a wrong type. */
export function readConfig(config: SchedulerConfig): { name: SchedulerClass; options: Options; unused: string[] } {
  const name = className(config);
  if (!(name in classes)) {
    throw new CapabilityError('scheduler', `_class_name: ${JSON.stringify(config['_class_name'])} is no scheduler that fromDiffusers reads — nearest: ${nearest(name, Object.keys(classes), 2).join(', ')}`, { known: Object.keys(classes) });
  }
  const defaults: Options = classes[name as SchedulerClass];
  const options: Record<string, ConfigValue> = { ...defaults };
  const unused: string[] = [];
  for (const [key, value] of Object.entries(config)) {
    if (key.startsWith('_') || value === undefined) continue;
    if (!(key in defaults)) {
      if (!everywhere.has(key) && key !== 'solver_p') throw new OptionError(key, value, `an option of ${name}: ${nearest(key, Object.keys(defaults), 2).join(' or ')}`);
      unused.push(key); // another class's option, which diffusers ignores too (hub files carry them when a scheduler was swapped)
      continue;
    }
    options[key] = checked(key, value, defaults[key]!);
  }
  if (['use_karras_sigmas', 'use_exponential_sigmas', 'use_beta_sigmas'].filter((k) => options[k] === true).length > 1) throw new OptionError('use_karras_sigmas', true, 'only one of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas');
  return { name: name as SchedulerClass, options, unused };
}

function checked(key: string, value: unknown, fallback: ConfigValue): ConfigValue {
  if (value === null || key === 'tau_func') return value as ConfigValue;
  const known = value === 'inf' ? Infinity : value === '-inf' ? -Infinity : value;
  if (Array.isArray(known) && known.every((v) => typeof v === 'number')) return known as readonly number[];
  if (fallback !== null && !Array.isArray(fallback) && typeof known !== typeof fallback) throw new OptionError(key, value, `a ${typeof fallback}`);
  if (typeof known === 'number' && Number.isNaN(known)) throw new OptionError(key, value, 'a number');
  if (!['string', 'number', 'boolean'].includes(typeof known)) throw new OptionError(key, value, 'a string, number, boolean or list of numbers');
  if (legal[key] && !legal[key].includes(known as ConfigValue)) throw new OptionError(key, value, `one of ${legal[key].join(', ')}`);
  return known as ConfigValue;
}
