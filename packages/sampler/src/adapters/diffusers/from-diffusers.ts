import type { VpSchedule } from '../../schedules/table.js';
import { classes, readConfig, trainedOptions, type SchedulerClass, type SchedulerConfig } from './config.js';
import { flowEuler, flowHeun, flowLcm } from './flow-recipes.js';
import { tableOf } from './grids.js';
import { assemble, type FromDiffusersOptions, type Recipe, type RecipeMaker } from './recipe.js';
import { cm, dpmSde, edmDpm, edmEuler, eulerAncestralDiscrete, eulerDiscrete, heunDiscrete, kdpm2, kdpm2Ancestral, lmsDiscrete } from './sigma-recipes.js';
import { deisMulti, dpmInverse, dpmMulti, dpmSingle, sa, unipcMulti } from './solver-recipes.js';
import { ddimInverse, ddimRecipe, ddpmRecipe, ipndmRecipe, lcmRecipe, pndmRecipe, tcdRecipe } from './time-recipes.js';

const makers: Readonly<Record<SchedulerClass, RecipeMaker>> = {
  DDPMScheduler: ddpmRecipe,
  DDIMScheduler: ddimRecipe,
  DDIMInverseScheduler: ddimInverse,
  PNDMScheduler: pndmRecipe,
  EulerDiscreteScheduler: eulerDiscrete,
  EulerAncestralDiscreteScheduler: eulerAncestralDiscrete,
  LMSDiscreteScheduler: lmsDiscrete,
  HeunDiscreteScheduler: heunDiscrete,
  KDPM2DiscreteScheduler: kdpm2,
  KDPM2AncestralDiscreteScheduler: kdpm2Ancestral,
  DPMSolverSDEScheduler: dpmSde,
  DPMSolverMultistepScheduler: dpmMulti,
  DPMSolverMultistepInverseScheduler: dpmInverse,
  DPMSolverSinglestepScheduler: dpmSingle,
  UniPCMultistepScheduler: unipcMulti,
  DEISMultistepScheduler: deisMulti,
  SASolverScheduler: sa,
  LCMScheduler: lcmRecipe,
  TCDScheduler: tcdRecipe,
  EDMEulerScheduler: edmEuler,
  EDMDPMSolverMultistepScheduler: edmDpm,
  FlowMatchEulerDiscreteScheduler: flowEuler,
  FlowMatchHeunDiscreteScheduler: flowHeun,
  FlowMatchLCMScheduler: flowLcm,
  CMStochasticIterativeScheduler: cm,
  IPNDMScheduler: ipndmRecipe,
};

/** The scheduler classes that `fromDiffusers` reads. */
export const schedulerClasses = Object.keys(classes) as readonly SchedulerClass[];

/** The noise levels that a model with ε or v prediction was trained on, by its scheduler_config.json; what the file leaves out is its class's default. */
export const trainedSchedule = (config: SchedulerConfig): VpSchedule => tableOf(trainedOptions(config), true);

/**
 * Grid, schedule and solver of a hub scheduler_config.json. Steps as diffusers would, its habits included (`notes`). Throws CapabilityError for
 * a class or a combination that is not supported, OptionError for an option that does not exist or has no legal value.
 *
 * @example
 * ```ts
 * import { fromDiffusers } from '@ediffi/sampler';
 *
 * const config = { _class_name: 'EulerDiscreteScheduler', beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear', timestep_spacing: 'leading', steps_offset: 1 };
 * const recipe = fromDiffusers(config, { steps: 20 });
 * console.log(recipe.name, recipe.solver, recipe.sigmas, recipe.notes);
 * ```
 */
export function fromDiffusers(config: SchedulerConfig, options: FromDiffusersOptions): Recipe {
  const { name, options: settings, unused } = readConfig(config);
  return assemble(name, unused, makers[name](settings, options, name), options);
}
