import type { Abort, Conditioning, Denoiser, Expert, ExpertEnsemble, GuidanceScale, GuidedCondition, HostTensor, Instrumentation } from '@ediffi/core';
import type { Recipe, SchedulerConfig } from '@ediffi/sampler';

/** What a stage does unless told otherwise. */
export interface StageDefaults {
  readonly solver?: string;
  readonly grid?: string;
  readonly steps?: number;
  readonly guidance?: number;
  /** w′ of paint-with-words. */
  readonly paint?: number;
  /** Weight of painted phrases outside their masks, −1 to 0. */
  readonly outside?: number;
}

/** What a hub scheduler is asked for. */
export interface ScheduleChoice {
  readonly steps: number;
  readonly width: number;
  readonly height: number;
  /** Share of the steps that is run on a given picture, counted as diffusers counts for this family. */
  readonly share: number;
  /** In place of the model's own scheduler. */
  readonly scheduler?: SchedulerConfig;
}

/** How strongly guidance pulls, and where. */
export interface Guide {
  readonly scale: GuidanceScale;
  readonly window?: { readonly from?: number; readonly to?: number };
  readonly rescale?: number;
}

/** A stage's network under a hub scheduler: its grid, its timesteps, its solver. */
export interface Scheduled {
  readonly recipe: Recipe;
  /** Guidance over the raw answers, read as the scheduler reads them; guidance is of the EDM-like σ. */
  denoiser(guide: Guide, instrument?: Instrumentation): Denoiser<GuidedCondition>;
  expertAt(sigma: number): string;
}

/** What the rows of a conditioning are for, and the size that is painted. */
export interface Framing {
  readonly width: number;
  readonly height: number;
  readonly role: 'positive' | 'negative';
  /** The guidance scale, for networks that take it as an input. */
  readonly guidance: number;
  readonly frame?: FrameOptions;
}

/** What a model was told about the pictures it learned from (SDXL's size and crop conditioning, the refiner's aesthetic score). */
export interface FrameOptions {
  /** Size before cropping and resizing [height, width]; default: that of the picture painted. */
  readonly original?: readonly [height: number, width: number];
  readonly crop?: readonly [top: number, left: number];
  readonly target?: readonly [height: number, width: number];
  /** The same for what the picture shall not be; default: as above. */
  readonly negative?: Omit<FrameOptions, 'negative'>;
  /** 0 to 10; default 6, and 2.5 for what the picture shall not be. */
  readonly aesthetic?: number;
}

/** A ControlNet that a stage's networks take residuals from. */
export interface ControlSlot {
  readonly name: string;
  /** It is part of the network's graph: one picture, one scale, for all rows. */
  readonly folded?: boolean;
  /** It speaks of the picture as a whole; diffusers always leaves it out of the negative. */
  readonly pools?: boolean;
}

/** Inputs that pictures as prompts add to a conditioning. */
export type PromptInputs = Pick<Conditioning, 'inputs' | 'constants'>;

/** How a stage takes pictures as prompts (IP-Adapter). */
export interface ImagePromptSlot {
  /** The scale is an input of the graph; else it was fixed when the model was exported. */
  readonly scaled: boolean;
  /** How many pictures the graph takes; absent: any number. */
  readonly count?: number;
  /** Parameters of the image encoder; absent: the model has none. */
  readonly parameters?: number;
  /** For describe(). */
  readonly line: string;
  /** What the pictures add to the conditioning. Rejects with ModelError when there is no image encoder. */
  told(pictures: readonly { readonly width: number; readonly height: number; readonly data: Uint8Array }[], scale: number | undefined, call: { readonly signal?: Abort }): Promise<{ readonly positive: PromptInputs; readonly negative: PromptInputs }>;
  /** What stands for no picture, where that is not zeros. */
  unprompted?(call: { readonly signal?: Abort }): Promise<PromptInputs>;
}

/** The networks of a stage at work, with one expert exchanged. */
export type ActingStage = Pick<Stage, 'denoiser' | 'instrumented' | 'scheduled' | 'exchange'>;

/** One network (or ensemble) that works at one size. */
export interface Stage {
  readonly name: string;
  /** The same with a denoiser of the caller's in the place of an expert; `own` takes what is to be disposed with the variant. Absent: `denoiser` is an ExpertEnsemble, or has no experts. */
  readonly exchange?: (name: string, denoiser: Expert['denoiser'], own: <T extends { dispose(): Promise<void> }>(part: T) => T) => ActingStage;
  /** Samples as a hub scheduler does, unless a solver or a grid is asked for by name. */
  readonly scheduled?: (choice: ScheduleChoice) => Scheduled;
  /** The network takes the guidance scale as an input: one call per evaluation, no negative. */
  readonly embedsGuidance?: boolean;
  /** Adds the inputs that follow from the picture's size and the options. */
  readonly framed?: (condition: Conditioning, framing: Framing) => Conditioning;
  /** Absent: no network takes pictures as prompts. */
  readonly imagePrompt?: ImagePromptSlot;
  /** The ControlNets, where a network takes their residuals; absent: none does. */
  readonly controls?: readonly ControlSlot[];
  readonly denoiser: Denoiser;
  /** The same network on an instrumented graph: with region inputs for paint-with-words, with attention maps, or both. Absent: `denoiser` is used for that too. */
  readonly instrumented?: (instrument: Instrumentation) => Denoiser;
  readonly defaults?: StageDefaults;
  /** Width of each encoder's embedding that the network takes; encoders of another width are refused. */
  readonly widths?: Readonly<Record<string, number>>;
  /** Where text meets the picture, one line per expert, for describe(). */
  readonly sites?: () => readonly string[];
  /** Parameters per expert, for describe(). */
  readonly parameters?: Readonly<Record<string, number>>;
}

/** The experts of a stage, each with its σ range and perhaps a guidance of its own; empty: the stage is one network. */
export function expertsOf({ denoiser }: Pick<Stage, 'denoiser'>): readonly Pick<Expert, 'name' | 'sigmaMin' | 'sigmaMax' | 'guidance'>[] {
  return (denoiser as Partial<ExpertEnsemble>).experts ?? [];
}

/** The stage that makes the composition. */
export interface BaseStage extends Stage {
  /** Edge length it was trained at, in pixels. */
  readonly size: number;
  /** What width and height must be multiples of. */
  readonly multiple: number;
  /** The only size that the network's graph takes, in pixels. */
  readonly fixed?: readonly [height: number, width: number];
  /** The network works on latents; absent: on the picture itself, in −1…1. */
  readonly latents?: Latents;
}

/** The pictures a latent network works on: `[B, channels, H/factor, W/factor]`. */
export interface Latents {
  readonly channels: number;
  readonly factor: number;
  /** The network was trained to inpaint: it takes the mask and what is kept as further channels. */
  readonly inpaints?: boolean;
}

/** Pictures ↔ latents. */
export interface Autoencoder {
  /** `[B, 3, H, W]` in −1…1 → latents; `noise` makes a sample of them, its absence their mean. Abort rejects with the signal's reason. */
  encode(pictures: HostTensor, options?: { readonly noise?: (shape: readonly number[]) => HostTensor; readonly signal?: Abort }): Promise<HostTensor>;
  /** Latents → `[B, 3, H, W]` in −1…1. Abort as above. */
  decode(latents: HostTensor, options?: { readonly signal?: Abort }): Promise<HostTensor>;
  dispose(): Promise<void>;
}

/** A stage that enlarges. Its denoiser works on the residual to the enlarged picture. */
export interface Upsampler extends Stage {
  readonly factor: number;
  /** It, and every stage after it, runs only when `upscale` names one of them. */
  readonly optional?: boolean;
  /** Scale s of the residual: x = up + s·r. */
  readonly residualScale: number;
  /** Default standard deviation of the noise added to the picture it is given. */
  readonly augmentation: number;
  /** The enlarged picture as further channels of the network's input, noised to `amount` (its standard deviation beside √(1 − amount²) of the picture), and what tells the network so: DeepFloyd IF. Absent: the residual, as above. */
  readonly beside?: (up: HostTensor, amount: number, noise: HostTensor) => Pick<Conditioning, 'channels' | 'inputs'>;
  /** Graph inputs for the low-resolution picture and for the noise level added to it. */
  readonly inputs?: { readonly lowRes: string; readonly augmentation: string };
}

export const isUpsampler = (stage: Stage): stage is Upsampler => 'factor' in stage;

/** Name of the expert that answers at σ (in the denoiser's own units), or the stage's name when there is only one network. */
export function expertAt(stage: Stage, sigma: number): string {
  const ensemble = stage.denoiser as { at?: (sigma: number) => { readonly name: string } };
  return typeof ensemble.at === 'function' ? ensemble.at(sigma).name : stage.name;
}

/** Makes one denoiser per kind of instrumentation, however often it is asked for. */
export function perInstrument<D extends Denoiser>(make: (instrument: Instrumentation) => D): (instrument: Instrumentation) => D {
  const made = new Map<string, D>();
  return (instrument) => {
    const { regions = false, statistic = 'max', maps = false } = instrument;
    const key = JSON.stringify([regions, regions && statistic, maps]);
    const known = made.get(key) ?? make(instrument);
    made.set(key, known);
    return known;
  };
}
