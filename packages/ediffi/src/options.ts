import type { Abort, CanvasOptions, GuidanceOptions, GuidanceScale, PaintedPhrase, PaintOptions, PaintWithWords, HostTensor, Region } from '@ediffi/core';
import type { SchedulerConfig, Solver } from '@ediffi/sampler';
import type { AttentionOptions } from './attention/attention.js';
import type { Grid } from './names.js';
import type { PictureInput } from './pictures/input.js';
import type { FrameOptions } from './stage.js';

/** One text for all encoders, or one per encoder by its name: { t5, clip } (an absent one gets none; one that the pipeline does not have is refused). */
export type Prompt = string | Readonly<Record<string, string>>;

/**
 * Guidance: the scale, a function of σ, or all of its options. An expert's own takes precedence: the embedded model's low-noise one has 1. A network that takes
 * the scale as an input (FLUX.1 dev, latent consistency models) is told the scale, or `embedded` where there is one; `scale` then guides by a second call, against the negative.
 */
export type Guidance = GuidanceScale | ({ readonly scale: GuidanceScale; readonly embedded?: number } & Pick<GuidanceOptions<never>, 'window' | 'rescale' | 'threshold'>);

/** A coloured canvas or masks, as an alternative to a ready-made PaintWithWords; `strength` and `outside` are the model's own unless given. */
export type Paint =
  | PaintWithWords
  | ({ readonly canvas: PictureInput; readonly colors: Readonly<Record<string, PaintedPhrase>> } & PaintOptions & CanvasOptions)
  | ({ readonly regions: readonly Region[] } & PaintOptions);

/** A reference picture whose look is taken over through the CLIP image slot. */
export interface Style {
  readonly image: PictureInput;
  /** Factor on the embedding, 0 (off) to 2; default 1. The paper has no such knob: 1 is the paper. */
  readonly strength?: number;
  /** σ range (from, to] in which the style acts. */
  readonly window?: { readonly from?: number; readonly to?: number };
}

/** A picture that the composition follows through a ControlNet of the model: outlines, depth, a pose, whatever the ControlNet learned. */
export interface ControlPicture {
  /** Resized to the painted size; a tensor's −1…1 becomes 0…1. */
  readonly image: PictureInput;
  /** Factor on what the ControlNet adds; default 1. */
  readonly scale?: number;
  /** Share of the steps after which it begins, and at which it ends; default 0 and 1. */
  readonly start?: number;
  readonly end?: number;
  /** The picture alone leads: it does not touch the negative, and counts less in the fine blocks. Default false. */
  readonly guess?: boolean;
  /** The ControlNet that reads it: 'controlnet', 'controlnet_1', … Default: the first picture's is the first, and so on. */
  readonly network?: string;
}

/** Pictures as a prompt, for models that were exported with an IP-Adapter. */
export interface ImagePrompt {
  /** One, or as many as the adapter takes. */
  readonly image: PictureInput | readonly PictureInput[];
  /** How much they count, where the graph takes that as an input (default 1); elsewhere it was fixed at export, and a scale is refused. */
  readonly scale?: number;
}

/** What may be set for each stage on its own. */
export interface StageOptions {
  /** Network evaluations are steps × the solver's calls per step. Beside a list of σ: none. */
  readonly steps?: number;
  readonly solver?: string | Solver;
  /** How σ is spread, or the σ list itself (decreasing; a final 0 ends in a clean picture). */
  readonly grid?: string | Grid | Float64Array;
  readonly guidance?: Guidance;
  /** Hub models: another scheduler than the model's own, as its scheduler_config.json would say it. */
  readonly scheduler?: SchedulerConfig;
  /** Super-resolution stages: standard deviation of the noise added to the picture they are given. */
  readonly augmentation?: number;
}

/** Options of generate and stream. Steps, solver, grid and guidance are those of the base stage. */
export interface CommonOptions extends Omit<StageOptions, 'augmentation'> {
  /** What the picture should not be. Default: no conditioning at all, as in the paper. */
  readonly negative?: Prompt;
  /** Size of the finished picture in pixels. */
  readonly width?: number;
  readonly height?: number;
  readonly paint?: Paint;
  readonly style?: Style;
  /** Hub models with ControlNets: what the composition follows. */
  readonly control?: ControlPicture | readonly ControlPicture[];
  /** Hub models with an IP-Adapter: pictures as a prompt. */
  readonly imagePrompt?: ImagePrompt;
  /** Start from this picture instead of from noise; `strength` says how much of it to give up. */
  readonly image?: PictureInput;
  /** Share of the noise schedule that is run on `image`, over 0 to 1. Default 0.6, or 1 with a mask. */
  readonly strength?: number;
  /** Where `image` may change: white is repainted, black is kept. */
  readonly mask?: PictureInput;
  /** Which text encoders read the prompt, such as ['t5']; the others get zeros. Default: all. */
  readonly encoders?: readonly string[];
  /** The noise to start from, standard normal `[B, C, h, w]`, or `[1, C, h, w]` for all pictures, in the base stage's own space, in place of the seed's. */
  readonly noise?: HostTensor;
  /** Size, crop and aesthetic score to tell a model that was trained with them; others refuse it. */
  readonly frame?: FrameOptions;
  /** By name: settings of the super-resolution stages. */
  readonly stages?: Readonly<Record<string, StageOptions>>;
  /** false: stop after the base stage; the name of a super-resolution stage: stop after that one. Default true: all stages but the optional ones (the embedded model's sr3, which makes 512 × 512 pixels). */
  readonly upscale?: boolean | string;
  /** Watch what the base stage looks at: shares per encoder, and heat maps per word. */
  readonly attention?: AttentionOptions;
  readonly signal?: Abort;
}

/** One picture. Without a seed, one is drawn and reported in the metadata. */
export interface GenerateOptions extends CommonOptions {
  readonly seed?: number;
}

/** Several pictures of one prompt: a list of seeds, or `count` seeds from `seed` on. A picture does not depend on its batch mates. */
export type BatchOptions = CommonOptions & ({ readonly seed: readonly number[] } | { readonly seed?: number; readonly count: number });
