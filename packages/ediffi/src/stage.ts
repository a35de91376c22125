import type { Denoiser, Instrumentation } from '@ediffi/core';

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

/** One network (or ensemble) that works at one size. */
export interface Stage {
  readonly name: string;
  readonly denoiser: Denoiser;
  /** The same network on an instrumented graph: with region inputs for paint-with-words, with attention maps, or both. Absent: `denoiser` is used for that too. */
  readonly instrumented?: (instrument: Instrumentation) => Denoiser;
  readonly defaults?: StageDefaults;
  /** Width of each encoder's embedding that the network takes; encoders of another width are refused. */
  readonly widths?: Readonly<Record<string, number>>;
  /** Parameters per expert, for describe(). */
  readonly parameters?: Readonly<Record<string, number>>;
}

/** The stage that makes the composition. */
export interface BaseStage extends Stage {
  /** Edge length it was trained at, in pixels. */
  readonly size: number;
  /** What width and height must be multiples of. */
  readonly multiple: number;
}

/** A stage that enlarges. Its denoiser works on the residual to the enlarged picture. */
export interface Upsampler extends Stage {
  readonly factor: number;
  /** Scale s of the residual: x = up + s·r. */
  readonly residualScale: number;
  /** Default standard deviation of the noise added to the picture it is given. */
  readonly augmentation: number;
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
