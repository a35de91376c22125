/* A hub scheduler over a stage's raw network, and the same network for solvers and grids chosen by name. */
import { CapabilityError, epsilon, float32, flow, guidedNetwork, velocity, type Denoiser, type ExpertEnsemble, type HostTensor, type Instrumentation, type Network, type Tensor } from '@ediffi/core';
import { flowSchedule, fromDiffusers, muOfTokens, trainedSchedule, type SchedulerConfig } from '@ediffi/sampler';
import type { Guide, ScheduleChoice, Scheduled } from '../stage.js';
import type { Family } from './families.js';
import { flows } from './foreign.js';
import type { Told } from './network.js';

/** What a stage's schedules are made of. */
export interface ScheduleParts {
  readonly family: Family;
  readonly config: SchedulerConfig;
  readonly ensemble: ExpertEnsemble<Told>;
  readonly network: (instrument?: Instrumentation) => Network;
  /** Latent pixels per pixel. */
  readonly factor: number;
}

/** Sampling as diffusers does it. Throws CapabilityError or OptionError for schedulers that cannot be reproduced. */
export function scheduling({ family, config: own, ensemble, network, factor }: ScheduleParts): (choice: ScheduleChoice) => Scheduled {
  return ({ steps, width, height, share, scheduler }) => {
    const config = scheduler ?? own;
    const spread = family.strength === 'spread' && ['LCMScheduler', 'TCDScheduler'].includes(String(config['_class_name']));
    const begin = family.strength === 'left' ? Math.trunc(steps - steps * share) : steps - Math.trunc(steps * share); // rounded as Python's int() does
    const start = spread ? 0 : Math.min(begin, steps - 1);
    const number = (key: string, fallback: number): number => Number(config[key] ?? fallback);
    const tokens = (width / factor / family.patch) * (height / factor / family.patch);
    const dynamic = config['use_dynamic_shifting'] === true;
    const mu = dynamic ? muOfTokens(tokens, { base: number('base_image_seq_len', 256), max: number('max_image_seq_len', 4096), baseShift: number('base_shift', 0.5), maxShift: number('max_shift', 1.15) }) : undefined;
    const learned: { latest?: Tensor } = {};
    const recipe = fromDiffusers(config, {
      steps,
      ...(config['variance_type'] === 'learned_range' && { variance: () => learned.latest ?? float32([0], [1]) }),
      ...(spread && { strength: share }),
      ...(start > 0 && { start }),
      ...(mu !== undefined && { mu }),
      ...(family.ownSigmas && takesSigmas(config) && { sigmas: Array.from({ length: steps }, (_, i) => (steps === 1 ? 1 : 1 + (i * (1 / steps - 1)) / (steps - 1))) }),
    });
    const edm = (sigma: number): number => sigma / Math.max(recipe.alpha(sigma), 1e-6);
    return {
      recipe,
      expertAt: (sigma) => ensemble.at(edm(sigma)).name,
      denoiser: ({ scale, ...guide }: Guide, instrument) => {
        const acting = typeof scale === 'number' && scale <= 1 ? 1 : scale; // diffusers: no guidance at 1 and below
        const denoiser = recipe.denoiser(guidedNetwork(network(instrument), acting, guide, (sigma) => (acting === 1 ? undefined : ensemble.at(sigma).guidance)));
        const rows = (x: Tensor, rest: Tensor): Tensor => float32((rest as HostTensor).data.slice(0, x.shape.reduce((a, b) => a * b, 1)), x.shape); // the wanted rows come first
        return { ...denoiser, denoise: (x, sigma, condition, call) => denoiser.denoise(x, sigma, condition, { ...call, variance: (rest) => (learned.latest = rows(x, rest)) }) };
      },
    };
  };
}

/** Whether a flow scheduler is handed the family's σ: diffusers leaves them out where `use_flow_sigmas` makes them, and Heun's scheduler takes none. */
const takesSigmas = (config: SchedulerConfig): boolean => config['use_flow_sigmas'] !== true && config['_class_name'] !== 'FlowMatchHeunDiscreteScheduler';

/** The network in this library's own terms: VE form for ε and v, σ in 0…1 for flow. */
export function plainDenoiser(config: SchedulerConfig, ensemble: ExpertEnsemble<Told>, network: Network): Denoiser {
  const number = (key: string, fallback: number): number => Number(config[key] ?? fallback);
  if (flows(config)) {
    const schedule = flowSchedule({ shift: number('shift', number('flow_shift', 1)), steps: number('num_train_timesteps', 1000) });
    return withExperts(flow(network, schedule), ensemble, (sigma) => sigma / Math.max(1 - sigma, 1e-6), (sigma) => (sigma === Infinity ? 1 : sigma / (1 + sigma)));
  }
  const prediction = String(config['prediction_type'] ?? 'epsilon');
  const wrap = { epsilon, v_prediction: velocity }[prediction];
  if (!wrap) throw new CapabilityError('prediction_type', `prediction_type ${prediction} is read by diffusers' schedulers only — leave solver and grid out, and set scheduler instead`);
  return withExperts(wrap(network, trainedSchedule(config)), ensemble, (sigma) => sigma, (sigma) => sigma);
}

/** A denoiser that names the expert at work, for plans and steps; `own` and `edm` turn EDM-like σ into its own and back. */
function withExperts(denoiser: Denoiser, ensemble: ExpertEnsemble<Told>, edm: (sigma: number) => number, own: (sigma: number) => number): Denoiser {
  const experts = ensemble.experts.map((expert) => ({ ...expert, sigmaMin: own(expert.sigmaMin), sigmaMax: Math.min(own(expert.sigmaMax), denoiser.sigmaMax) }));
  return Object.assign(denoiser, { at: (sigma: number) => ensemble.at(edm(sigma)), experts, guidanceAt: (sigma: number) => ensemble.at(edm(sigma)).guidance });
}
