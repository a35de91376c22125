import { finiteNumber, integer, OptionError, sigmaWindow, type HostTensor, type PaintWithWords } from '@ediffi/core';
import type { AttentionOptions } from './attention/attention.js';
import { resolveControls, type ControlRequest } from './control.js';
import { resolveImagePrompt, type ImagePromptRequest } from './image-prompt.js';
import type { BatchOptions, GenerateOptions, Prompt } from './options.js';
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

const COMMON = ['seed', 'count', 'steps', 'solver', 'grid', 'guidance', 'augmentation', 'negative', 'width', 'height', 'paint', 'style', 'image', 'strength', 'mask', 'control', 'imagePrompt', 'encoders', 'stages', 'upscale', 'attention', 'scheduler', 'noise', 'frame', 'signal'];

/** The stages that will run, with their settings. Throws the typed error of the first illegal option. */
export function resolveRuns(parts: PipelineParts, options: GenerateOptions | BatchOptions): { runs: StageRun[]; share: number; image?: HostTensor; mask?: HostTensor } {
  const { base } = parts;
  const odd = Object.keys(options).find((name) => !COMMON.includes(name));
  if (odd !== undefined) throw new OptionError('option', odd, `one of ${COMMON.join(', ')}`);
  const names = (parts.upsamplers ?? []).map((stage) => stage.name);
  const upsamplers = stagesUpTo(options.upscale ?? true, parts.upsamplers ?? []);
  const settings = options.stages ?? {};
  const unknown = Object.keys(settings).find((name) => name !== base.name && !names.includes(name));
  if (unknown !== undefined) throw new OptionError('stages', unknown, `some of ${[base.name, ...names].join(', ')}`);
  const source = resolveImage(options);
  const { steps, solver, grid, guidance, scheduler } = options;
  const own = { ...(scheduler !== undefined && { scheduler }), ...(steps !== undefined && { steps }), ...(solver !== undefined && { solver }), ...(grid !== undefined && { grid }), ...(guidance !== undefined && { guidance }) };
  const given = base.latents && source.image ? sizeOfImage(base, source.image, options) : options;
  let size = resolveSize(base, upsamplers.reduce((factor, stage) => factor * stage.factor, 1), given);
  const runs = [resolveStage(base, { ...settings[base.name], ...own }, size, source.share)];
  for (const stage of upsamplers) {
    size = { width: size.width * stage.factor, height: size.height * stage.factor };
    runs.push(resolveStage(stage, settings[stage.name] ?? {}, size));
  }
  return { runs, ...source };
}

/** A latent model repaints a picture at the picture's own size, cut down to what it can paint. */
function sizeOfImage({ multiple }: BaseStage, image: HostTensor, { width, height }: GenerateOptions | BatchOptions): { width: number; height: number } {
  const [, , h = 0, w = 0] = image.shape;
  const legal = (n: number): number => Math.max(multiple, n - (n % multiple));
  return { width: width ?? legal(w), height: height ?? legal(h) };
}

/** Checks every option against the pipeline. Throws a typed error before anything is encoded or loaded. */
export function resolveRequest(parts: PipelineParts, prompt: Prompt, options: GenerateOptions | BatchOptions): Request {
  const chosen = chosenEncoders(options.encoders, parts.encoders);
  const texts = textsOf(prompt, chosen);
  const { negative: refused = parts.unsaid === 'encoded' ? '' : undefined } = options;
  const negative = refused === undefined ? {} : textsOf(refused, chosen, 'negative');
  const paint = options.paint && resolvePaint(options.paint, parts.base.defaults);
  if (paint) checkPaint(paint, texts);
  const style = options.style && resolveStyle(options.style, parts);
  const attention = options.attention && checkAttention(options.attention, texts);
  const { runs, ...source } = resolveRuns(parts, options);
  const controls = options.control && resolveControls(options.control, parts.base);
  const imagePrompt = options.imagePrompt && resolveImagePrompt(options.imagePrompt, parts.base);
  return { texts, negative, seeds: resolveSeeds(options), ...(options.frame && { frame: options.frame }), ...(options.noise && { noise: options.noise }), ...(paint && { paint }), ...(style && { style }), ...(attention && { attention }), ...(controls && { controls }), ...(imagePrompt && { imagePrompt }), runs, ...source };
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

function resolveStyle(style: NonNullable<GenerateOptions['style']>, parts: PipelineParts): NonNullable<Request['style']> {
  if (!parts.imageEncoder) throw new OptionError('style', 'a picture', 'a pipeline with an image encoder; this one has none');
  return { picture: tensorOf(style.image, 'style'), strength: finiteNumber('style strength', style.strength ?? 1, 0, 2), window: style.window ?? {} };
}

function checkAttention(attention: AttentionOptions, texts: Request['texts']): AttentionOptions {
  const { maps = false, encoders, sites, window } = attention;
  if (![true, false, 'steps'].includes(maps)) throw new OptionError('attention maps', maps, "true, false or 'steps'");
  const unread = encoders?.find((name) => !(name in texts));
  if (unread !== undefined || encoders?.length === 0) throw new OptionError('attention encoders', unread ?? '[]', `some of ${Object.keys(texts).join(', ') || '(none: no encoder reads this prompt)'}`);
  if (sites?.length === 0) throw new OptionError('attention sites', '[]', 'at least one stride, or none of this option for all');
  sites?.forEach((stride) => integer('attention sites', stride, 1));
  sigmaWindow('attention window', window);
  return attention;
}
