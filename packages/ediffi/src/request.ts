import { finiteNumber, integer, OptionError, ShapeError, shapeText, sigmaWindow, sizeOf, type HostTensor, type PaintWithWords } from '@ediffi/core';
import type { AttentionOptions } from './attention/attention.js';
import { resolveControls, type ControlRequest } from './control.js';
import { resolveImagePrompt, type ImagePromptRequest } from './image-prompt.js';
import type { BatchOptions, GenerateOptions, Prompt, StageOptions } from './options.js';
import { tensorOf } from './pictures/input.js';
import type { PipelineParts } from './parts.js';
import { checkPaint, chosenEncoders, textsOf } from './prompts.js';
import { resolveImage, resolvePaint, resolveSeeds, resolveSize, resolveStage, type StageRun } from './resolve.js';
import type { BaseStage, FrameOptions, Upsampler } from './stage.js';

/** Everything a generation needs, checked. */
export interface Request {
  readonly texts: Readonly<Record<string, string>>;
  readonly negative: Readonly<Record<string, string>>;
  readonly seeds: readonly number[];
  readonly runs: readonly StageRun[];
  readonly paint?: PaintWithWords;
  readonly style?: { readonly picture: HostTensor; readonly strength: number; readonly window: { readonly from?: number; readonly to?: number } };
  readonly image?: HostTensor;
  readonly mask?: HostTensor;
  readonly share: number;
  readonly attention?: AttentionOptions;
  readonly noise?: HostTensor;
  readonly frame?: FrameOptions;
  readonly controls?: readonly ControlRequest[];
  readonly imagePrompt?: ImagePromptRequest;
}

const STAGE = ['steps', 'solver', 'grid', 'guidance', 'scheduler', 'augmentation'] as const satisfies readonly (keyof StageOptions)[];
const OTHERS = ['seed', 'count', 'negative', 'width', 'height', 'paint', 'style', 'image', 'strength', 'mask', 'control', 'imagePrompt', 'encoders', 'stages', 'upscale', 'attention', 'noise', 'frame', 'signal'];

/** The stages that will run, with their settings. Throws the typed error of the first illegal option. */
export function resolveRuns(parts: PipelineParts, options: GenerateOptions | BatchOptions): { runs: StageRun[]; share: number; image?: HostTensor; mask?: HostTensor } {
  const { base } = parts;
  const odd = Object.keys(options).find((name) => ![...STAGE, ...OTHERS].includes(name));
  if (odd !== undefined) throw new OptionError('option', odd, `one of ${[...STAGE, ...OTHERS].filter((name) => name !== 'augmentation').join(', ')}`);
  const names = (parts.upsamplers ?? []).map((stage) => stage.name);
  const upsamplers = stagesUpTo(options.upscale ?? true, parts.upsamplers ?? []);
  const settings = options.stages ?? {};
  for (const [name, stage] of Object.entries(settings)) checkSettings(name, stage, [base.name, ...names]);
  const source = resolveImage(options);
  const given: StageOptions = options;
  const own = Object.fromEntries(STAGE.flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]])));
  const sized = base.latents && source.image ? sizeOfImage(base, source.image, options) : options;
  let size = resolveSize(base, upsamplers.reduce((factor, stage) => factor * stage.factor, 1), sized);
  const runs = [resolveStage(base, { ...settings[base.name], ...own }, size, source.share)];
  for (const stage of upsamplers) {
    size = { width: size.width * stage.factor, height: size.height * stage.factor };
    runs.push(resolveStage(stage, settings[stage.name] ?? {}, size));
  }
  return { runs, ...source };
}

/** Refuses settings for stages that there are not, and settings that no stage has. */
function checkSettings(stage: string, settings: unknown, stages: readonly string[]): void {
  if (!stages.includes(stage)) throw new OptionError('stages', stage, `some of ${stages.join(', ')}`);
  if (settings === undefined) return;
  if (typeof settings !== 'object' || settings === null) throw new OptionError(`stages.${stage}`, settings, 'an object, such as { steps: 8 }');
  const odd = Object.keys(settings).find((name) => !(STAGE as readonly string[]).includes(name));
  if (odd !== undefined) throw new OptionError(`stages.${stage}`, odd, `some of ${STAGE.join(', ')}`);
}

/** A latent model repaints a picture at the picture's own size, cut down to what it can paint, or at the only size it has. */
function sizeOfImage({ multiple, fixed }: BaseStage, image: HostTensor, { width, height }: GenerateOptions | BatchOptions): { width: number; height: number } {
  const [, , h = 0, w = 0] = image.shape;
  const legal = (n: number): number => Math.max(multiple, n - (n % multiple));
  return { width: width ?? fixed?.[1] ?? legal(w), height: height ?? fixed?.[0] ?? legal(h) };
}

/** Refuses options that are none and a signal that is none; throws the reason of one that is aborted. */
function checkCall(options: GenerateOptions | BatchOptions): void {
  if (typeof options !== 'object' || options === null) throw new OptionError('options', options, 'an object, such as { seed: 7 }, or nothing');
  const { signal } = options;
  if (signal && typeof signal.throwIfAborted !== 'function') throw new OptionError('signal', signal, 'an AbortSignal, such as the signal of an AbortController');
  signal?.throwIfAborted();
}

/** Checks every option against the pipeline. Throws a typed error before anything is encoded or loaded, or the reason of a signal that is aborted. */
export function resolveRequest(parts: PipelineParts, prompt: Prompt, options: GenerateOptions | BatchOptions): Request {
  checkCall(options);
  const chosen = chosenEncoders(options.encoders, parts.encoders);
  const texts = textsOf(prompt, chosen, parts.encoders);
  const { negative: refused = parts.unsaid === 'encoded' ? '' : undefined } = options;
  const negative = refused === undefined ? {} : textsOf(refused, chosen, parts.encoders, 'negative');
  const paint = options.paint && resolvePaint(options.paint, parts.base.defaults);
  if (paint) checkPaint(paint, texts);
  const style = options.style && resolveStyle(options.style, parts);
  const attention = options.attention && checkAttention(options.attention, texts);
  const { runs, ...source } = resolveRuns(parts, options);
  const controls = options.control && resolveControls(options.control, parts.base);
  const imagePrompt = options.imagePrompt && resolveImagePrompt(options.imagePrompt, parts.base);
  const seeds = resolveSeeds(options);
  const noise = options.noise && resolveNoise(options.noise, parts.base, runs[0]!, seeds.length);
  if (options.frame && !runs.some(({ stage }) => stage.framed)) throw new OptionError('frame', `{ ${Object.keys(options.frame).join(', ')} }`, 'nothing: this model is not told the sizes of pictures');
  return { texts, negative, seeds, ...(options.frame && { frame: options.frame }), ...(noise && { noise }), ...(paint && { paint }), ...(style && { style }), ...(attention && { attention }), ...(controls && { controls }), ...(imagePrompt && { imagePrompt }), runs, ...source };
}

/** The super-resolution stages that run. */
function stagesUpTo(upscale: boolean | string, stages: readonly Upsampler[]): readonly Upsampler[] {
  if (upscale === false) return [];
  if (upscale === true) {
    const optional = stages.findIndex((stage) => stage.optional);
    return optional < 0 ? stages : stages.slice(0, optional);
  }
  const names = stages.map((stage) => stage.name);
  if (!names.includes(upscale)) throw new OptionError('upscale', upscale, ['true', 'false', ...names].join(', '));
  return stages.slice(0, names.indexOf(upscale) + 1);
}

/** Noise of the shape that the base stage begins with, for all pictures or for each. Throws OptionError for what is no float32 tensor of the host, ShapeError for another shape. */
function resolveNoise(noise: HostTensor, { latents: { channels, factor } = { channels: 3, factor: 1 } }: BaseStage, { width, height }: StageRun, batch: number): HostTensor {
  const shape = [channels, height / factor, width / factor];
  if (noise.dtype !== 'float32' || !noise.shape || !noise.data) throw new OptionError('noise', noise.dtype ?? typeof noise, `a float32 tensor, such as randn(${shapeText([batch, ...shape])}, 7)`);
  const fits = noise.data.length === sizeOf(noise.shape) && [1, batch].some((rows) => shapeText(noise.shape) === shapeText([rows, ...shape]));
  if (!fits) throw new ShapeError('noise', `${batch === 1 ? '' : `${shapeText([1, ...shape])} or `}${shapeText([batch, ...shape])}, for ${batch === 1 ? 'a picture' : `${batch} pictures`} of ${width} × ${height} in the base stage`, shapeText(noise.shape));
  return noise;
}

function resolveStyle(style: NonNullable<GenerateOptions['style']>, parts: PipelineParts): NonNullable<Request['style']> {
  if (!parts.imageEncoder) throw new OptionError('style', 'a picture', 'a pipeline with an image encoder; this one has none');
  return { picture: tensorOf(style.image, 'style'), strength: finiteNumber('style strength', style.strength ?? 1, 0, 2), window: sigmaWindow('style window', style.window) };
}

function checkAttention(attention: AttentionOptions, texts: Request['texts']): AttentionOptions {
  const { maps = false, encoders, sites, window } = attention;
  if (![true, false, 'steps'].includes(maps)) throw new OptionError('attention maps', maps, "true, false or 'steps'");
  if (encoders !== undefined && !Array.isArray(encoders)) throw new OptionError('attention encoders', encoders, "a list of names, such as ['t5']");
  if (sites !== undefined && !Array.isArray(sites)) throw new OptionError('attention sites', sites, 'a list of strides, such as [4]');
  const unread = encoders?.find((name) => !(name in texts));
  if (unread !== undefined || encoders?.length === 0) throw new OptionError('attention encoders', unread ?? '[]', `some of ${Object.keys(texts).join(', ') || '(none: no encoder reads this prompt)'}`);
  if (sites?.length === 0) throw new OptionError('attention sites', '[]', 'at least one stride, or none of this option for all');
  sites?.forEach((stride) => integer('attention sites', stride, 1));
  sigmaWindow('attention window', window);
  return attention;
}
