import { float32, Generator, integer, lincomb, type Abort, type Conditioning, type HostTensor } from '@ediffi/core';
import { AttentionWatch } from './attention/watch.js';
import { controlled } from './control.js';
import { prompted } from './image-prompt.js';
import { mapped } from './mapped.js';
import { planText, type Metadata, type StageMetadata } from './metadata.js';
import type { BatchOptions, GenerateOptions, Prompt } from './options.js';
import { GeneratedImage } from './pictures/generated-image.js';
import { pictureOf } from './pictures/input.js';
import type { PipelineParts } from './parts.js';
import { planRun, type RunPlan } from './plan.js';
import { encodeTexts, windowsOf } from './prompts.js';
import { resolveRequest, type Request } from './request.js';
import type { StageRun } from './resolve.js';
import { sample, type Conditions } from './sample.js';
import { expertsOf } from './stage.js';
import type { GenerationStep } from './step.js';
import { version } from './version.js';
import { truncationWarnings, wordWarnings, type Warning } from './warnings.js';

/** A call that is checked and whose prompts are encoded: nothing is painted yet. */
export interface ReadyCall {
  readonly parts: PipelineParts;
  readonly prompt: Prompt;
  readonly options: GenerateOptions | BatchOptions;
  readonly request: Request;
  readonly plans: readonly RunPlan[];
  readonly conditions: Conditions;
  readonly watch?: AttentionWatch;
  /** The signal, as network calls take it. */
  readonly call: { readonly signal?: Abort };
}

/** Checks and encodes a call, once. Rejects with a typed error for illegal options before any work. */
export async function readyCall(parts: PipelineParts, prompt: Prompt, options: GenerateOptions | BatchOptions): Promise<ReadyCall> {
  const request = resolveRequest(parts, prompt, options);
  const call = options.signal ? { signal: options.signal } : {};
  const plans = await Promise.all(request.runs.map(planRun));
  const conditions = await conditionsOf(parts, request, call);
  const watch = request.attention && new AttentionWatch(request.attention, conditions.plain.prompts?.[0] ?? '', request.seeds.length);
  return { parts, prompt, options, request, plans, conditions, ...(watch && { watch }), call };
}

/** The whole way from prompt to pictures: check, plan, encode once, run each stage. */
export async function* paintPictures(parts: PipelineParts, prompt: Prompt, options: GenerateOptions | BatchOptions): AsyncGenerator<GenerationStep, GeneratedImage[], void> {
  const ready = await readyCall(parts, prompt, options);
  return yield* finishPictures(ready, yield* paintBase(ready));
}

/** What the base stage paints, `[B, 3, H, W]`. */
export const paintBase = (ready: ReadyCall): AsyncGenerator<GenerationStep, HostTensor, void> => paintStage(ready, 0);

/** Runs the stages after the base on what it painted. */
export async function* finishPictures(ready: ReadyCall, painted: HostTensor): AsyncGenerator<GenerationStep, GeneratedImage[], void> {
  const { parts, request, plans, conditions, prompt, options, watch, call } = ready;
  let pictures = painted;
  for (let i = 1; i < request.runs.length; i++) pictures = yield* paintStage(ready, i, pictures);
  call.signal?.throwIfAborted();
  const metadata = metadataOf(parts, request, prompt, options, plans);
  const warnings = [...warningsOf(parts, request, conditions), ...idleExperts(parts, request, plans), ...idleNegative(request)];
  return request.seeds.map((seed, i) => new GeneratedImage(one(pictures, i), { ...metadata, seed }, warnings, watch?.result(i)));
}

/** Runs stage `i`; `low` is what the one before it painted. Steps are numbered through all stages. */
async function* paintStage({ parts, request, plans, conditions, watch, call }: ReadyCall, i: number, low?: HostTensor): AsyncGenerator<GenerationStep, HostTensor, void> {
  const run = request.runs[i]!;
  const stepsOf = (some: readonly RunPlan[]): number => some.reduce((sum, { steps }) => sum + steps, 0);
  const count = stepsOf(plans);
  let done = stepsOf(plans.slice(0, i));
  const told = framed(run, conditions, request);
  const steered = i === 0 ? await controlled(await prompted(told, request.imagePrompt, parts.base, call), request.controls, run) : told;
  const steps = sample(run, steered, {
    generators: request.seeds.map((seed) => new Generator(stageSeed(seed, i))),
    ...(low && { low }),
    ...(parts.device && { device: parts.device }),
    ...(request.image && (i === 0 || request.mask) && { image: request.image }),
    ...(request.mask && { mask: request.mask }),
    ...(i === 0 && { share: request.share, ...(request.noise && { noise: request.noise }), ...(parts.autoencoder && { autoencoder: parts.autoencoder }) }),
    ...(watch && i === 0 && { attention: { listen: watch.listen, ...(request.attention?.sites && { sites: request.attention.sites }) } }),
    ...call,
  });
  return yield* mapped(steps, async ({ sigma, sigmaNext, denoised, x }): Promise<GenerationStep> => {
    const place = { index: done++, sigma, expert: run.expertAt(sigma) };
    const attention = i === 0 ? await watch?.step(place) : undefined;
    return {
      ...place,
      stage: run.stage.name,
      count,
      sigmaNext,
      ...(attention && { attention }),
      x,
      preview: async (picture = 0) => {
        integer('preview', picture, 0, request.seeds.length - 1);
        const host = (await denoised.toHost()) as HostTensor;
        return i === 0 && parts.autoencoder ? pictureOf(await parts.autoencoder.decode(row(host, picture), call)) : pictureOf(host, picture);
      },
    };
  });
}

/** Stage 0 is torch's own stream of the seed; the others get streams of their own, so that steps of one do not change another. */
const stageSeed = (seed: number, stage: number): bigint => BigInt(seed) + BigInt(stage) * 0x9e3779b1n;

async function conditionsOf(parts: PipelineParts, request: Request, call: { signal?: Abort }): Promise<Conditions> {
  const emptyToo = (parts.unsaid ?? 'zeros') !== 'zeros';
  const windows = await windowsOf([request.texts, request.negative], parts.encoders);
  const plain = await encodeTexts(request.texts, parts.encoders, { ...call, emptyToo, windows, ...(request.paint && { paint: request.paint }) });
  const negative = await encodeTexts(request.negative, parts.encoders, { ...call, emptyToo, windows });
  return { plain, negative, styled: await withStyle(plain, parts, request, call), window: request.style?.window ?? {} };
}

/** The conditioning with the reference picture's embedding times the strength; strength 0 is no style at all. */
async function withStyle(plain: Conditioning, parts: PipelineParts, { style }: Request, call: { signal?: Abort }): Promise<Conditioning> {
  if (!style || style.strength === 0) return plain;
  const embedding = await parts.imageEncoder!.encode(style.picture, call);
  if (style.strength === 1) return { ...plain, embeddings: { ...plain.embeddings, 'clip-image': embedding } };
  const tokens = await lincomb([style.strength, embedding.tokens]);
  const pooled = embedding.pooled && (await lincomb([style.strength, embedding.pooled]));
  return { ...plain, embeddings: { ...plain.embeddings, 'clip-image': { ...embedding, tokens, ...(pooled && { pooled }) } } };
}

/** The conditions with what a stage wants to be told about size and role. */
function framed({ stage, width, height, told }: StageRun, conditions: Conditions, { frame }: Request): Conditions {
  if (!stage.framed) return conditions;
  const frameFor = (condition: Conditioning, role: 'positive' | 'negative'): Conditioning => stage.framed!(condition, { width, height, role, guidance: told, ...(frame && { frame }) });
  const plain = frameFor(conditions.plain, 'positive');
  return { ...conditions, plain, styled: conditions.styled === conditions.plain ? plain : frameFor(conditions.styled, 'positive'), negative: frameFor(conditions.negative, 'negative') };
}

const row = (batch: HostTensor, index: number): HostTensor => {
  const { data, shape } = one(batch, index);
  return float32(data, [1, ...shape]);
};

const one = (batch: HostTensor, index: number): HostTensor => {
  const size = batch.data.length / batch.shape[0]!;
  return float32(batch.data.slice(index * size, (index + 1) * size), batch.shape.slice(1));
};

function metadataOf(parts: PipelineParts, request: Request, prompt: Prompt, options: GenerateOptions | BatchOptions, plans: readonly RunPlan[]): Omit<Metadata, 'seed'> {
  const stages = request.runs.map((run: StageRun, i): StageMetadata => ({
    name: run.stage.name,
    width: run.width,
    height: run.height,
    solver: run.solverName,
    grid: run.gridName,
    steps: run.sigmas.length - 1,
    sigmaMax: run.sigmas[0]!,
    guidance: typeof run.scale === 'function' ? 'function of sigma' : run.scale,
    experts: plans[i]!.experts,
  }));
  const { paint, style, share, image, mask, controls, imagePrompt } = request;
  return {
    prompt,
    ...(options.negative !== undefined && { negative: options.negative }),
    encoders: Object.keys(request.texts),
    plan: planText(stages),
    stages,
    ...(paint && { paint: { phrases: [...new Set(paint.regions.map((region) => region.phrase))], statistic: paint.statistic } }),
    ...(style && { style: { strength: style.strength } }),
    ...(controls && { control: controls.map(({ network, scale, start, end, guess }) => ({ network, scale, start, end, guess })) }),
    ...(imagePrompt && { imagePrompt: { pictures: imagePrompt.pictures.length, ...(imagePrompt.scale !== undefined && { scale: imagePrompt.scale }) } }),
    ...(image && { image: { strength: share, masked: mask !== undefined } }),
    versions: { ediffi: version, ...parts.versions },
  };
}

function warningsOf(parts: PipelineParts, request: Request, { plain, negative }: Conditions): Warning[] {
  const texts = [...new Set([...Object.values(request.texts), ...Object.values(request.negative)])];
  const both = [plain.embeddings, negative.embeddings];
  const seen = new Set<string>();
  const words = both.flatMap((embeddings) => wordWarnings(texts, embeddings, parts)).filter((w) => !seen.has(w.message) && seen.add(w.message));
  return [...words, ...both.flatMap(truncationWarnings)];
}

/** A negative prompt pulls through guidance alone: without any it is read by nobody (models distilled to need none, FLUX, LCM). */
function idleNegative({ negative, runs }: Request): Warning[] {
  const guides = ({ scale, stage }: StageRun): boolean => scale !== 1 || expertsOf(stage).some(({ guidance = 1 }) => guidance !== 1);
  if (runs.some(guides) || Object.values(negative).every((text) => text.trim() === '')) return [];
  return [{ kind: 'idle-negative', message: 'the negative prompt does nothing without guidance — set guidance above 1' }];
}

/** Experts that a whole schedule never reaches: usually too few steps. */
function idleExperts(parts: PipelineParts, request: Request, plans: readonly RunPlan[]): Warning[] {
  if (request.share < 1) return [];
  return request.runs.flatMap((run, i) => expertsOf(run.stage)
    .filter(({ name }) => !plans[i]!.experts.some((planned) => planned.name === name))
    .map(({ name }): Warning => ({ kind: 'idle-expert', expert: name, message: `${run.stage.name}: the expert "${name}" gets no step — use more steps or another grid` })));
}
