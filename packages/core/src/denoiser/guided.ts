/*
 * Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598):   D = D₋ + w·(D₊ − D₋)
 *
 * One batched network call per evaluation. Outside the σ-window (arXiv 2404.07724) w = 1 and only D₊ is evaluated.
 * Rescale φ (arXiv 2305.08891 §3.4): D ← φ·D·std(D₊)/std(D) + (1 − φ)·D, per picture.
 */
import type { Conditioning } from '../conditioning/conditioning.js';
import { finiteNumber, sigmaWindow } from '../errors/check.js';
import { float32, floats } from '../tensor/host.js';
import { lincomb } from '../tensor/lincomb.js';
import { concatRows, takeRows } from '../tensor/rows.js';
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
  const join = options.join ?? (joinedLater as unknown as (a: C, b: C) => Promise<C>);
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
    const twice = await concatRows(x, x);
    const both = await pair(condition).then((c) => answer(twice, c)).finally(() => twice.dispose());
    return (rescale > 0 ? rescaled(both, x, w, rescale) : mixed(both, w)).finally(() => both.dispose());
  };
}

/**
 * Guidance as a denoiser of pairs. An expert's own guidance (`guidanceAt`) takes precedence over `scale`.
 * Throws OptionError for a scale, window, rescale or threshold that is no legal number.
 *
 * @example
 * ```ts
 * import { bind, guided, lincomb, randn, type Denoiser } from '@ediffi/core';
 *
 * const model: Denoiser<number> = { sigmaMin: 0.002, sigmaMax: 80, alpha: () => 1, denoise: (x, _, gain) => Promise.resolve(lincomb([gain, x])), dispose: async () => undefined };
 * const twoCalls = guided(model, 7.5, { window: { from: 0.3, to: 20 }, join: (positive) => positive }); // 7.5 where 0.3 < σ ≤ 20
 * const D = bind(twoCalls, { positive: 0.9, negative: 0.1 });
 * console.log((await D(randn([1, 3, 8, 8], 1), 30)).shape);
 * ```
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

/** Comes with the first guided call, so that pages with a condition of their own never download it. */
const joinedLater = async (positive: Conditioning, negative: Conditioning): Promise<Conditioning> => (await import('../conditioning/join.js')).joinConditioning(positive, negative);

async function bounded(x: Tensor, threshold: Threshold): Promise<Tensor> {
  if (threshold === 'none') return x;
  return applyThreshold(x, threshold).finally(() => x.dispose());
}

/** w·D₊ + (1 − w)·D₋ of the two halves of a batch. */
async function mixed(both: Tensor, w: number): Promise<Tensor> {
  const half = both.shape[0]! / 2;
  const parts = [await takeRows(both, 0, half), await takeRows(both, half, 2 * half)] as const;
  const sum = await lincomb([w, parts[0]], [1 - w, parts[1]]);
  for (const part of parts) part.dispose();
  return sum;
}

/** The same, each picture's deviation pulled to that of D₊; a picture without any stays as it is. Through the host. */
async function rescaled(both: Tensor, like: Tensor, w: number, rescale: number): Promise<Tensor> {
  const data = await floats(both);
  const sum = await mixed(both, w);
  const out = await floats(sum).finally(() => sum.dispose());
  const size = out.length / (like.shape[0] ?? 1);
  for (let start = 0; start < out.length; start += size) {
    const picture = out.subarray(start, start + size);
    const own = deviation(picture);
    const factor = own === 0 ? 1 : (rescale * deviation(data.subarray(start, start + size))) / own + 1 - rescale;
    picture.forEach((v, i) => (picture[i] = v * factor));
  }
  return like.device.fromHost(float32(out, like.shape));
}

/** Sample standard deviation (n − 1, as torch.std); exactly 0 where all values are one, which the rounded mean need not be. */
function deviation(values: Float32Array): number {
  const { length } = values;
  if (values.every((v) => v === values[0])) return 0;
  const mean = values.reduce((sum, v) => sum + v, 0) / length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (length - 1));
}
