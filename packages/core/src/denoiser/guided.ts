/*
 * Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598):   D = D₋ + w·(D₊ − D₋)
 *
 * One batched network call per evaluation. Outside the σ-window (arXiv 2404.07724) w = 1 and only D₊ is evaluated.
 * Rescale φ (arXiv 2305.08891 §3.4): D ← φ·D·std(D₊)/std(D) + (1 − φ)·D, per picture.
 */
import type { Conditioning } from '../conditioning/conditioning.js';
import { joinConditioning } from '../conditioning/join.js';
import { finiteNumber, sigmaWindow } from '../errors/check.js';
import { float32, floats } from '../tensor/host.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Denoiser, GuidedCondition } from './denoiser.js';
import type { Network } from './precondition.js';
import { applyThreshold, checkThreshold, type Threshold } from './threshold.js';

/** Options of guided. `C` is what one row of the model's condition is. */
export interface GuidanceOptions<C> {
  /** σ range (from, to] within which guidance acts; elsewhere one network call with the positive alone. */
  readonly window?: { readonly from?: number; readonly to?: number };
  /** φ in [0, 1]: pulls the standard deviation back to that of the conditional answer. */
  readonly rescale?: number;
  readonly threshold?: Threshold;
  /** How two conditions become one batch; needed when C is not Conditioning. */
  readonly join?: (positive: C, negative: C) => Promise<C> | C;
}

/** w: a number, or a function of σ. */
export type GuidanceScale = number | ((sigma: number) => number);

/** One guided answer: the scale at σ, one row of pictures or two, mixed. */
interface Guidance<C> {
  (x: Tensor, sigma: number, condition: GuidedCondition<C>, answer: (x: Tensor, condition: C) => Promise<Tensor>): Promise<Tensor>;
}

function guidance<C>(scale: GuidanceScale, options: Omit<GuidanceOptions<C>, 'threshold'>, own: (sigma: number) => number | undefined): Guidance<C> {
  if (typeof scale === 'number') finiteNumber('guidance', scale);
  const rescale = finiteNumber('guidance rescale', options.rescale ?? 0, 0, 1);
  const { from, to } = sigmaWindow('guidance window', options.window);
  const join = options.join ?? (joinConditioning as unknown as (a: C, b: C) => Promise<C>);
  const joined = new WeakMap<object, Promise<C>>();

  const pair = (condition: GuidedCondition<C>): Promise<C> => {
    const known = joined.get(condition);
    if (known) return known;
    const made = Promise.resolve(join(condition.positive, condition.negative));
    joined.set(condition, made);
    return made;
  };

  const scaleAt = (sigma: number): number => {
    if (sigma <= from || sigma > to) return 1;
    return finiteNumber('guidance', own(sigma) ?? (typeof scale === 'number' ? scale : scale(sigma)));
  };

  return async (x, sigma, condition, answer) => {
    const w = scaleAt(sigma);
    if (w === 1) return answer(x, condition.positive);
    const twice = await doubled(x);
    const both = await pair(condition).then((c) => answer(twice, c)).finally(() => twice.dispose());
    return mix(both, x, w, rescale).finally(() => both.dispose());
  };
}

/**
 * Guidance as a denoiser of pairs. An expert's own guidance (`guidanceAt`) takes precedence over `scale`.
 * Throws OptionError for a scale, window, rescale or threshold that is no legal number.
 */
export function guided<C = Conditioning>(denoiser: Denoiser<C>, scale: GuidanceScale, options: GuidanceOptions<C> = {}): Denoiser<GuidedCondition<C>> {
  const apply = guidance<C>(scale, options, (sigma) => denoiser.guidanceAt?.(sigma));
  const threshold = checkThreshold(options.threshold ?? 'none');
  return {
    sigmaMin: denoiser.sigmaMin,
    sigmaMax: denoiser.sigmaMax,
    alpha: (sigma) => denoiser.alpha(sigma),
    denoise: async (x, sigma, condition, call) => bounded(await apply(x, sigma, condition, (y, c) => denoiser.denoise(y, sigma, c, call)), threshold),
    dispose: () => denoiser.dispose(),
  };
}

/**
 * Guidance of raw answers, F = F₋ + w·(F₊ − F₋), where what follows is not linear in them (clipping, consistency functions) or the rescale is meant for them,
 * as in diffusers. `scale` and window are of the EDM-like σ; `own` is an expert's guidance, which takes precedence. Throws OptionError as guided does.
 */
export function guidedNetwork<C = Conditioning>(network: Network<C>, scale: GuidanceScale, options: Omit<GuidanceOptions<C>, 'threshold'> = {}, own: (sigma: number) => number | undefined = () => undefined): Network<GuidedCondition<C>> {
  const apply = guidance<C>(scale, options, own);
  const guided: Network<GuidedCondition<C>> = (x, noise, sigma, condition, call) => apply(x, sigma, condition, (y, c) => network(y, noise, sigma, c, call));
  return Object.assign(guided, network.dispose && { dispose: network.dispose });
}

async function bounded(x: Tensor, threshold: Threshold): Promise<Tensor> {
  if (threshold === 'none') return x;
  return applyThreshold(x, threshold).finally(() => x.dispose());
}

async function doubled(x: Tensor): Promise<Tensor> {
  const data = await floats(x);
  const out = new Float32Array(2 * data.length);
  out.set(data);
  out.set(data, data.length);
  return x.device.fromHost(float32(out, [2 * (x.shape[0] ?? 1), ...x.shape.slice(1)]));
}

async function mix(both: Tensor, like: Tensor, w: number, rescale: number): Promise<Tensor> {
  const data = await floats(both);
  const half = data.length / 2;
  const out = new Float32Array(half);
  for (let i = 0; i < half; i++) out[i] = data[half + i]! + w * (data[i]! - data[half + i]!);
  if (rescale > 0) {
    const size = half / (like.shape[0] ?? 1);
    for (let start = 0; start < half; start += size) {
      const ratio = deviation(data, start, size) / deviation(out, start, size);
      const factor = rescale * ratio + 1 - rescale;
      for (let i = start; i < start + size; i++) out[i] = out[i]! * factor;
    }
  }
  return like.device.fromHost(float32(out, like.shape));
}

/** Sample standard deviation (n − 1, as torch.std). */
function deviation(data: Float32Array, start: number, size: number): number {
  let sum = 0;
  for (let i = start; i < start + size; i++) sum += data[i]!;
  const mean = sum / size;
  let squares = 0;
  for (let i = start; i < start + size; i++) squares += (data[i]! - mean) ** 2;
  return Math.sqrt(squares / (size - 1));
}
