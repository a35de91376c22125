/*
 * A denoiser D(x; σ) in the place of a hub model's raw network: what such a network would have answered. At the network's own scale
 *
 *   x = a·x₀ + b·n      VP: a = 1/√(1 + σ²), b = σ/√(1 + σ²);   flow: a = 1/(1 + σ), b = σ/(1 + σ);   σ = b/a is the EDM-like noise level
 *   ε = (x − a·D)/b     v = a·ε − b·D = (a·x − D)/b     u = ε − D = (x − D)/b     x₀ = D
 *
 * (progressive distillation, arXiv 2202.00512 §4; rectified flow, arXiv 2209.03003)
 */
import { asDenoiser, CapabilityError, lincomb, type Conditioning, type Denoiser, type DenoiserLike, type Expert, type Network } from '@ediffi/core';
import type { SchedulerConfig } from '@ediffi/sampler';
import { asExpert, type Told } from './network.js';

type Read = (a: number, b: number) => readonly [x: number, denoised: number];

const answers: Readonly<Record<string, Read>> = {
  epsilon: (a, b) => [1 / b, -a / b],
  v_prediction: (a, b) => [a / b, -1 / b],
  flow: (_a, b) => [1 / b, -1 / b],
  sample: () => [0, 1],
};

/** σ in the denoiser's own terms for the EDM-like σ: as it is for α ≡ 1, else on [0, 1]. Throws CapabilityError for an α of another kind. */
function ownSigma(denoiser: Denoiser): (sigma: number) => number {
  const kinds: readonly ((sigma: number) => number)[] = [(s) => s, (s) => s / (1 + s), (s) => s / Math.sqrt(1 + s * s)];
  const found = kinds.find((kind) => [0.5, 2].every((s) => Math.abs(kind(s) / denoiser.alpha(kind(s)) - s) < 1e-9));
  if (found) return found;
  throw new CapabilityError('expert', `its α(σ) is neither 1 nor 1 − σ nor √(1 − σ²) (α(0.5) = ${denoiser.alpha(0.5)}), so that its σ cannot be told from the model's`);
}

/** Whether a scheduler's networks answer with the velocity of a rectified flow. */
export const flows = (config: SchedulerConfig): boolean => String(config['_class_name']).startsWith('FlowMatch') || config['use_flow_sigmas'] === true;

function rawNetwork(denoiser: Denoiser, config: SchedulerConfig): Network {
  const flowing = flows(config);
  const prediction = flowing ? 'flow' : String(config['prediction_type'] ?? 'epsilon');
  const read = answers[prediction];
  if (!read || config['variance_type'] === 'learned_range') throw new CapabilityError('expert', `the model's networks answer with ${read ? 'a variance as well' : prediction}, which a denoiser does not give`);
  const own = ownSigma(denoiser);
  return async (x, _noise, sigma, condition, call) => {
    const a = flowing ? 1 / (1 + sigma) : 1 / Math.sqrt(1 + sigma * sigma);
    const at = own(sigma);
    const scaled = await lincomb([denoiser.alpha(at) / a, x]);
    const denoised = await denoiser.denoise(scaled, at, condition, call).finally(() => scaled.dispose());
    const [p, q] = read(a, a * sigma);
    const answer = await lincomb([p, x], [q, denoised]);
    denoised.dispose();
    return answer;
  };
}

/** An expert's denoiser as one that answers like the model's networks. `adapt` makes its conditioning. Throws CapabilityError for models and denoisers that do not fit. */
export function foreignExpert(denoiser: Expert['denoiser'], config: SchedulerConfig, adapt: (condition: Conditioning) => Conditioning): () => Promise<Denoiser<Told>> {
  const told = (made: DenoiserLike): Denoiser<Told> => {
    const network = rawNetwork(asDenoiser(made, 'expert'), config);
    return asExpert((x, noise, sigma, condition, call) => network(x, noise, sigma, adapt(condition), call));
  };
  if (typeof denoiser !== 'function') {
    const expert = told(denoiser); // the caller's to dispose; refused at once where it does not fit
    return async () => expert;
  }
  return async () => {
    const made = await denoiser();
    return { ...told(made), dispose: async () => made.dispose?.() };
  };
}
