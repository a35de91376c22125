import type { Abort } from '../abort.js';
import type { Conditioning } from '../conditioning/conditioning.js';
import type { TokenSpan } from '../conditioning/spans.js';
import { OptionError } from '../errors/errors.js';
import type { Tensor } from '../tensor/tensor.js';

/** All a solver sees: D(x; σ) ≈ E[x₀ | x], x = α(σ)·x₀ + σ·n `[B, C, H, W]`. α ≡ 1 unless given. */
export interface Denoise {
  (x: Tensor, sigma: number): Promise<Tensor>;
  readonly alpha?: (sigma: number) => number;
}

/** The attention of one network call, as far as the graph gives it. */
export interface AttentionRecord {
  readonly sigma: number;
  /** Per stride `[B, tokens, T]`, mean over heads and its `layers`; tokens = (H/stride)·(W/stride), row-major. With guidance the positive rows come first. */
  readonly maps: readonly { readonly stride: number; readonly layers: number; readonly height: number; readonly width: number; readonly weights: Tensor }[];
  /** Which key columns belong to which graph input ('constant': learned null tokens), and to which encoder. */
  readonly columns: readonly { readonly input: string; readonly encoder?: string; readonly offset: number; readonly length: number }[];
  /** Which characters of the first row's prompt each key column stands for, and in which encoder. */
  readonly spans: readonly (TokenSpan & { readonly encoder: string })[];
}

/** Options of one network call. */
export interface CallOptions {
  readonly signal?: Abort;
  /** Receives what follows the picture's channels in an answer with twice as many: a learned variance `[B, C, H, W]`. */
  readonly variance?: (rest: Tensor) => void;
  /** Receives the attention maps of the call, and owns them, when the graph was loaded with them. */
  readonly attention?: (record: AttentionRecord) => void;
}

/** A model, an ensemble of models, or anything that removes noise. Valid for σ in [sigmaMin, sigmaMax]. */
export interface Denoiser<C = Conditioning> {
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  alpha(sigma: number): number;
  /** D(x; σ) for x `[B, C, H, W]`; the caller owns the result. */
  denoise(x: Tensor, sigma: number, condition: C, options?: CallOptions): Promise<Tensor>;
  dispose(): Promise<void>;
  /** Guidance that this model asks for at σ; an ensemble answers with its expert's. */
  guidanceAt?(sigma: number): number | undefined;
}

/** All that an expert has to be: something with `denoise`. What else a Denoiser has is taken from it where it is there; by default α ≡ 1, any σ will do, and there is nothing to dispose. */
export type DenoiserLike<C = Conditioning> = Pick<Denoiser<C>, 'denoise'> & Partial<Denoiser<C>>;

/** A Denoiser of something with `denoise`; a whole one as it is. Throws OptionError for anything else. */
export function asDenoiser<C>(like: DenoiserLike<C>, what = 'denoiser'): Denoiser<C> {
  if (typeof like?.denoise !== 'function') throw new OptionError(what, like, 'an object with denoise(x, sigma, condition), or a function that loads one');
  const { sigmaMin = 0, sigmaMax = Infinity } = like;
  if (like.sigmaMin !== undefined && like.sigmaMax !== undefined && like.alpha && like.dispose) return like as Denoiser<C>;
  return {
    sigmaMin,
    sigmaMax,
    alpha: (sigma) => like.alpha?.(sigma) ?? 1,
    denoise: (x, sigma, condition, options) => like.denoise(x, sigma, condition, options),
    dispose: async () => like.dispose?.(),
    ...(like.guidanceAt && { guidanceAt: (sigma: number) => like.guidanceAt!(sigma) }),
  };
}

/** A conditional pair: what the picture should be, and what it should not. */
export interface GuidedCondition<C = Conditioning> {
  readonly positive: C;
  readonly negative: C;
}
