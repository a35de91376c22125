import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bestOf, type GenerateOptions } from '../index.js';
import { writeAttention } from './attention.js';
import { checkFolder, numberOption, readInput, UsageError, valueFor, type Io } from './io.js';
import { modelOf, type ModelArguments } from './model.js';
import { previewKind, render } from './preview.js';
import { Progress } from './progress.js';

/** Options of `ediffi paint` as typed. */
export interface PaintArguments extends ModelArguments {
  readonly out: string;
  readonly preview: string;
  readonly upscale?: boolean | string;
  readonly seed?: string;
  readonly count?: string;
  readonly bestOf?: string;
  readonly steps?: string;
  readonly srSteps?: string;
  readonly solver?: string;
  readonly grid?: string;
  readonly guidance?: string;
  readonly negative?: string;
  readonly size?: string;
  readonly canvas?: string;
  readonly colors?: string;
  readonly paintStrength?: string;
  readonly paintOutside?: string;
  readonly style?: string;
  readonly styleStrength?: string;
  readonly image?: string;
  readonly strength?: string;
  readonly mask?: string;
  readonly control?: readonly string[];
  readonly controlScale?: readonly string[];
  readonly controlWindow?: readonly string[];
  readonly controlGuess?: boolean;
  readonly imagePrompt?: readonly string[];
  readonly imagePromptScale?: string;
  readonly encoders?: string;
  readonly attention?: string;
}

/** `ediffi paint`: one picture (or several) into a file, plan, progress and warnings on stderr, the file's name on stdout. */
export async function paintCommand(prompt: string, typed: PaintArguments, io: Io): Promise<void> {
  const typedOptions = await generateOptions(typed, io.signal);
  const srSteps = typed.srSteps === undefined ? undefined : numberOption(typed.srSteps, '--sr-steps');
  if (typed.count !== undefined && typed.bestOf !== undefined) throw new UsageError('--best-of: one picture, not with --count');
  const [count, candidates] = [numberOption(typed.count ?? '1', '--count'), numberOption(typed.bestOf ?? '1', '--best-of')];
  const kind = previewKind(typed.preview, io.err, io.env);
  await checkFolder(typed.out, '--out');
  const ediffi = await modelOf(typed, io);
  try {
    if (srSteps !== undefined && !ediffi.parts.upsamplers?.length) throw new UsageError('--sr-steps: this model has no super-resolution stage — leave it out');
    const stages = Object.fromEntries((ediffi.parts.upsamplers ?? []).map(({ name }) => [name, { steps: srSteps! }]));
    const options = { ...typedOptions, ...(srSteps !== undefined && { stages }) };
    const plan = await ediffi.plan(prompt, options);
    io.err.write(`${plan.map(({ stage, experts }) => `${stage}: ${experts.map((e) => `${e.name} ${e.calls}`).join(', ')}`).join('; ')} network calls${typed.bestOf === undefined ? '' : `, ${plan[0]!.stage} for each of ${candidates} candidates`}\n`);
    const started = Date.now();
    const progress = new Progress(io.err, kind);
    const painting = typed.bestOf === undefined ? ediffi.stream(prompt, { ...options, count }) : bestOf(ediffi, prompt, { ...options, candidates });
    for await (const step of painting) await progress.show(step);
    const painted = await painting.finish();
    const pictures = 'picture' in painted ? [painted.picture] : painted;
    progress.clear();
    if ('candidates' in painted) io.err.write(`CLIP score by seed: ${painted.candidates.map(({ seed, score }) => `${seed} ${score.toFixed(3)}`).join(', ')}\n`);
    for (const [i, picture] of pictures.entries()) {
      const path = pictures.length === 1 ? typed.out : typed.out.replace(/(\.png)?$/i, `-${picture.metadata.seed}.png`);
      await writeFile(path, picture.toPng()).catch((cause: unknown) => {
        throw new UsageError(`--out: cannot write ${path}`, { cause });
      });
      if (typed.attention !== undefined) await writeAttention(picture, pictures.length === 1 ? typed.attention : join(typed.attention, String(picture.metadata.seed)));
      io.err.write(render(picture, kind));
      if (i === 0) for (const { message } of picture.warnings) io.err.write(`note: ${message}\n`);
      io.err.write(`${picture.width} × ${picture.height}, seed ${picture.metadata.seed}, ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
      io.out.write(`${path}\n`);
    }
  } finally {
    await ediffi.dispose();
  }
}

/** Typed options → options of generate, files read. Rejects with UsageError for what cannot be read. */
export async function generateOptions(typed: PaintArguments, signal?: AbortSignal): Promise<GenerateOptions> {
  const number = <K extends string>(key: K, option: string, text: string | undefined): Partial<Record<K, number>> =>
    text === undefined ? {} : ({ [key]: numberOption(text, option) } as Record<K, number>);
  const file = async <K extends string>(key: K, path: string | undefined): Promise<Partial<Record<K, Uint8Array>>> =>
    path === undefined ? {} : ({ [key]: await readInput(path, `--${key}`) } as Record<K, Uint8Array>);
  if ((typed.canvas === undefined) !== (typed.colors === undefined)) throw new UsageError('--canvas and --colors go together: a PNG and a JSON of { "#rrggbb": "phrase of the prompt" }');
  return {
    ...(typed.upscale !== undefined && { upscale: typed.upscale }),
    ...number('seed', '--seed', typed.seed),
    ...number('steps', '--steps', typed.steps),
    ...number('guidance', '--guidance', typed.guidance),
    ...number('strength', '--strength', typed.strength),
    ...(typed.solver !== undefined && { solver: typed.solver }),
    ...(typed.grid !== undefined && { grid: typed.grid }),
    ...(typed.negative !== undefined && { negative: typed.negative }),
    ...(typed.encoders !== undefined && { encoders: typed.encoders.split(',').map((name) => name.trim()).filter(Boolean) }),
    ...sizeOption(typed.size),
    ...(typed.attention !== undefined && { attention: { maps: true } }),
    ...(typed.canvas !== undefined && { paint: { canvas: await readInput(typed.canvas, '--canvas'), colors: await readColors(typed.colors!), ...number('strength', '--paint-strength', typed.paintStrength), ...number('outside', '--paint-outside', typed.paintOutside) } }),
    ...(typed.style !== undefined && { style: { image: await readInput(typed.style, '--style'), ...number('strength', '--style-strength', typed.styleStrength) } }),
    ...(await controlOption(typed)),
    ...(await imagePromptOption(typed)),
    ...(await file('image', typed.image)),
    ...(await file('mask', typed.mask)),
    ...(signal && { signal }),
  };
}

/** Control pictures, the i-th scale and window for the i-th; one scale or window for all of them. */
async function controlOption({ control, controlScale = [], controlWindow = [], controlGuess }: PaintArguments): Promise<Pick<GenerateOptions, 'control'>> {
  if (!control) {
    const odd = controlScale.length > 0 ? 'scale' : controlWindow.length > 0 ? 'window' : controlGuess ? 'guess' : undefined;
    if (odd) throw new UsageError(`--control-${odd}: goes with --control, the picture`);
    return {};
  }
  return {
    control: await Promise.all(control.map(async (path, i) => {
      const [scale, window] = [valueFor(controlScale, i, '--control-scale', control.length, 'pictures'), valueFor(controlWindow, i, '--control-window', control.length, 'pictures')];
      return {
        image: await readInput(path, '--control'),
        ...(scale !== undefined && { scale: numberOption(scale, '--control-scale') }),
        ...(window !== undefined && windowOption(window)),
        ...(controlGuess && { guess: true }),
      };
    })),
  };
}

function windowOption(text: string): { start: number; end: number } {
  const [start, end, ...more] = text.split(',');
  if (start === undefined || end === undefined || more.length > 0) throw new UsageError(`--control-window: expected START,END as shares of the steps, such as 0,0.5, got ${JSON.stringify(text)}`);
  return { start: numberOption(start, '--control-window'), end: numberOption(end, '--control-window') };
}

async function imagePromptOption({ imagePrompt, imagePromptScale: scale }: PaintArguments): Promise<Pick<GenerateOptions, 'imagePrompt'>> {
  if (!imagePrompt) {
    if (scale !== undefined) throw new UsageError('--image-prompt-scale: goes with --image-prompt, the picture');
    return {};
  }
  return { imagePrompt: { image: await Promise.all(imagePrompt.map((path) => readInput(path, '--image-prompt'))), ...(scale !== undefined && { scale: numberOption(scale, '--image-prompt-scale') }) } };
}

function sizeOption(text: string | undefined): { width?: number; height?: number } {
  if (text === undefined) return {};
  const match = /^(\d+)(?:[x×](\d+))?$/.exec(text.trim());
  if (!match) throw new UsageError(`--size: expected WIDTHxHEIGHT or one number, got ${JSON.stringify(text)}`);
  return { width: Number(match[1]), height: Number(match[2] ?? match[1]) };
}

async function readColors(path: string): Promise<Record<string, string>> {
  const text = new TextDecoder().decode(await readInput(path, '--colors'));
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, string>;
  } catch (cause) {
    throw new UsageError(`--colors: ${path} is not JSON`, { cause });
  }
  throw new UsageError(`--colors: ${path} must hold an object, { "#rrggbb": "phrase of the prompt" }`);
}
