import {
  checkSigma, checkThreshold, finiteNumber, guided, integer, OptionError, PaintWithWords, SigmaRangeError, sigmaWindow, thresholded,
  type Denoise, type Denoiser, type GuidanceScale, type GuidedCondition, type HostTensor, type Instrumentation, type Tensor, type Threshold,
} from '@ediffi/core';
import type { Noise, SigmaRange, Solver, Step } from '@ediffi/sampler';
import { grids, named, solvers } from './names.js';
import type { BatchOptions, GenerateOptions, Guidance, Paint, StageOptions } from './options.js';
import { maskOf, rgbaOf, tensorOf, type PictureInput } from './pictures/input.js';
import { expertAt, isUpsampler, type BaseStage, type Guide, type Scheduled, type Stage, type Upsampler } from './stage.js';

/** The settings of one stage, checked and complete. σ are in units of its picture. */
export interface StageRun {
  readonly stage: BaseStage | Upsampler;
  readonly width: number;
  readonly height: number;
  readonly solverName: string;
  readonly gridName: string;
  readonly sigmas: Float64Array;
  readonly scale: GuidanceScale;
  readonly guidance: Omit<Guide, 'scale'>;
  readonly threshold: Threshold;
  readonly augmentation: number;
  /** The guidance that a network which takes it as an input is told. */
  readonly told: number;
  /** Pure noise times this is where a picture begins. */
  readonly startScale: number;
  readonly alpha: (sigma: number) => number;
  readonly expertAt: (sigma: number) => string;
  readonly solve: (denoise: Denoise, x: Tensor, options: { readonly noise: Noise }) => AsyncGenerator<Step, Tensor, void>;
  /** Base stages: guidance and threshold over the network, on the plain or an instrumented graph. */
  readonly guided: (instrument?: Instrumentation) => Denoiser<GuidedCondition>;
}

const fallback = { solver: 'dpmpp2m', grid: 'karras', steps: 25, guidance: 1 };

/** Noise range of a stage in units of its picture. */
export function rangeOf(stage: Stage): SigmaRange {
  const s = isUpsampler(stage) ? stage.residualScale : 1;
  return { sigmaMin: stage.denoiser.sigmaMin * s, sigmaMax: stage.denoiser.sigmaMax * s };
}

/** Checks one stage's settings against the stage. Throws OptionError or SigmaRangeError. */
export function resolveStage(stage: BaseStage | Upsampler, options: StageOptions, size: { readonly width: number; readonly height: number }, share = 1): StageRun {
  const defaults = { ...fallback, ...stage.defaults };
  const steps = integer('steps', options.steps ?? defaults.steps, 1, 10_000);
  if (options.grid instanceof Float64Array && options.steps !== undefined && steps !== options.grid.length - 1) throw new OptionError('steps', steps, `none beside a list of ${options.grid.length} σ, which make ${options.grid.length - 1} steps`);
  if (options.augmentation !== undefined && !isUpsampler(stage)) throw new OptionError('augmentation', options.augmentation, `none for ${stage.name}, which enlarges no picture: set it in stages, by the name of a stage that does`);
  const byName = options.solver !== undefined || options.grid !== undefined;
  if (options.scheduler && (byName || !stage.scheduled)) throw new OptionError('scheduler', String(options.scheduler['_class_name']), byName ? 'none together with a solver or a grid: it brings its own' : 'a solver and a grid: this stage was not opened from a hub model');
  const asked = guidanceOf(options.guidance ?? defaults.guidance);
  const { threshold: bound, embedded = stage.embedsGuidance ? numberAt(asked.scale) : undefined, ...rest } = asked;
  const { scale, ...guidance } = stage.embedsGuidance && asked.embedded === undefined ? { ...rest, scale: 1 } : rest;
  if (embedded !== undefined) finiteNumber('embedded guidance', embedded);
  if (asked.embedded !== undefined && !stage.embedsGuidance) throw new OptionError('embedded guidance', asked.embedded, 'nothing: this network does not take its guidance as an input');
  if (guidance.rescale !== undefined) finiteNumber('guidance rescale', guidance.rescale, 0, 1);
  sigmaWindow('guidance window', guidance.window);
  if (bound !== undefined) checkThreshold(bound);
  const augmentation = finiteNumber('augmentation', options.augmentation ?? (isUpsampler(stage) ? stage.augmentation : 0), 0, 1);
  const common = { stage, ...size, scale, guidance, augmentation, told: embedded ?? numberAt(scale) };
  if (stage.scheduled && !byName) return { ...common, ...scheduledRun(stage.scheduled({ steps, share, ...size, ...(options.scheduler && { scheduler: options.scheduler }) }), { scale, ...guidance }, bound ?? 'none') };
  const threshold = bound ?? (isUpsampler(stage) || !stage.latents ? 'static' : 'none');
  return { ...common, ...namedRun(stage, steps, options.solver ?? defaults.solver, options.grid ?? defaults.grid, share, { scale, ...guidance }, threshold) };
}

type Sampling = Pick<StageRun, 'solverName' | 'gridName' | 'sigmas' | 'threshold' | 'startScale' | 'alpha' | 'expertAt' | 'solve' | 'guided'>;

/** Sampling as the scheduler that came with the model does it. */
function scheduledRun({ recipe, denoiser, expertAt }: Scheduled, guide: Guide, threshold: Threshold): Sampling {
  const guided = (instrument?: Instrumentation): Denoiser<GuidedCondition> => thresholded(denoiser(guide, instrument), threshold);
  return { solverName: recipe.solver, gridName: recipe.name, sigmas: recipe.sigmas, threshold, startScale: recipe.initialScale, alpha: recipe.alpha, expertAt, solve: (denoise, x, options) => recipe.run(denoise, x, options), guided };
}

/** Sampling by a solver and a grid of this library. */
function namedRun(stage: BaseStage | Upsampler, steps: number, solverOption: string | Solver, gridOption: NonNullable<StageOptions['grid']>, share: number, { scale, ...guidance }: Guide, threshold: Threshold): Sampling {
  const solver = named('solver', solverOption, solvers);
  const grid = gridOption instanceof Float64Array ? { name: 'explicit', value: () => gridOption } : named('grid', gridOption, grids);
  const all = grid.value(steps, rangeOf(stage));
  checkGrid(all, rangeOf(stage), stage.name);
  const kept = Math.max(1, Math.round((all.length - 1) * share));
  const sigmas = all.slice(all.length - 1 - kept);
  const unit = isUpsampler(stage) ? stage.residualScale : 1;
  return {
    solverName: solver.name,
    gridName: grid.name,
    sigmas,
    threshold,
    startScale: sigmas[0]!,
    alpha: (sigma) => stage.denoiser.alpha(sigma),
    expertAt: (sigma) => expertAt(stage, sigma / unit),
    solve: (denoise, x, options) => solver.value(denoise, x, sigmas, options),
    guided: (instrument) => guided((instrument && stage.instrumented?.(instrument)) ?? stage.denoiser, scale, { ...guidance, threshold }),
  };
}

/** A scale as one number, for networks that take one. */
const numberAt = (scale: GuidanceScale): number => (typeof scale === 'number' ? scale : scale(Infinity));

/** Guidance in its long form. Throws OptionError for a scale that is neither a finite number nor a function. */
function guidanceOf(guidance: Guidance): Exclude<Guidance, GuidanceScale> {
  const long = typeof guidance === 'object' && guidance !== null ? guidance : { scale: guidance };
  if (typeof long.scale === 'number') finiteNumber('guidance', long.scale);
  else if (typeof long.scale !== 'function') throw new OptionError('guidance', long.scale, 'a number or a function of σ, or { scale } with either and what goes with it');
  return long;
}

/** Refuses σ that do not decrease or leave the model's range; a final 0 is allowed. Throws SigmaRangeError. */
function checkGrid(sigmas: Float64Array, range: SigmaRange, who: string): void {
  if (sigmas.length < 2) throw new SigmaRangeError(`grid: at least two noise levels make a step, got ${sigmas.length}`, Number.NaN);
  sigmas.forEach((sigma, i) => {
    if (sigma === 0 && i === sigmas.length - 1) return;
    checkSigma(sigma, range.sigmaMin, range.sigmaMax, who);
    if (i > 0 && !(sigma < sigmas[i - 1]!)) throw new SigmaRangeError(`grid: σ must decrease, got ${sigmas[i - 1]} → ${sigma} at index ${i}`, sigma);
  });
}

/** The seeds of a call. Throws OptionError for none, negative ones or fractions, or a count that is not the list's. */
export function resolveSeeds(options: GenerateOptions | BatchOptions): number[] {
  const legal = (seed: number): number => integer('seed', seed, 0, Number.MAX_SAFE_INTEGER);
  const count = 'count' in options && options.count !== undefined ? integer('count', options.count, 1, 4096) : undefined;
  if (Array.isArray(options.seed)) {
    const { length } = options.seed;
    if (length === 0) throw new OptionError('seed', '[]', 'at least one seed');
    if (count !== undefined && count !== length) throw new OptionError('count', count, `none beside a list of ${length} seeds, which makes ${length} pictures`);
    return (options.seed as readonly number[]).map(legal);
  }
  const first = legal((options.seed as number | undefined) ?? Math.floor(Math.random() * 2 ** 32));
  return Array.from({ length: count ?? 1 }, (_, i) => legal(first + i));
}

/** Size of the base picture for a finished picture of width × height. Throws OptionError unless it fits the model. */
export function resolveSize(base: BaseStage, factor: number, options: { readonly width?: number; readonly height?: number }): { width: number; height: number } {
  const edge = (name: 'width' | 'height'): number => {
    const unit = base.multiple * factor;
    const only = base.fixed?.[name === 'height' ? 0 : 1];
    const value = integer(name, options[name] ?? (only ?? base.size) * factor, unit, 8192);
    if (only !== undefined && value !== only * factor) throw new OptionError(name, value, `${only * factor}, the only size that the network was exported for`);
    if (value % unit !== 0) throw new OptionError(name, value, `a multiple of ${unit}, such as ${Math.round(value / unit) * unit || unit}`);
    return value / factor;
  };
  return { width: edge('width'), height: edge('height') };
}

const PAINT = '{ canvas, colors }, { regions: [{ phrase, mask }] } or a PaintWithWords';

/** PaintWithWords from whatever form it was given in. Throws ShapeError, OptionError or PictureError. */
export function resolvePaint(paint: Paint, defaults: { readonly paint?: number; readonly outside?: number } = {}): PaintWithWords {
  if (paint instanceof PaintWithWords) return paint;
  if (typeof paint !== 'object' || Array.isArray(paint)) throw new OptionError('paint', paint, PAINT);
  if ('map' in paint) return paint as PaintWithWords;
  if (!('regions' in paint) && !('canvas' in paint)) throw new OptionError('paint', `{ ${Object.keys(paint).join(', ')} }`, PAINT);
  const options = { ...(defaults.paint !== undefined && { strength: defaults.paint }), ...(defaults.outside !== undefined && { outside: defaults.outside }), ...paint };
  return 'regions' in paint ? new PaintWithWords(paint.regions, options) : PaintWithWords.fromCanvas(rgbaOf(paint.canvas, 'canvas'), paint.colors, options);
}

/** The picture to start from, its mask and how much of the schedule to run. Throws OptionError, ShapeError or PictureError. */
export function resolveImage(options: { readonly image?: PictureInput; readonly mask?: PictureInput; readonly strength?: number }): { image?: HostTensor; mask?: HostTensor; share: number } {
  if (options.image === undefined) {
    if (options.mask !== undefined) throw new OptionError('mask', 'given without image', 'an image whose masked part is repainted');
    if (options.strength !== undefined) throw new OptionError('strength', options.strength, 'an image to start from; for paint and style, set their own strength');
    return { share: 1 };
  }
  const strength = options.strength ?? (options.mask === undefined ? 0.6 : 1);
  if (!(strength > 0 && strength <= 1)) throw new OptionError('strength', strength, 'a number above 0, up to 1');
  return { image: tensorOf(options.image, 'image'), share: strength, ...(options.mask !== undefined && { mask: maskOf(options.mask, 'mask') }) };
}
