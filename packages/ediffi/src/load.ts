import { ExpertEnsemble, precondition, sessionNetwork, type Abort, type Backend, type Denoiser, type Instrumentation, type PromptEncoder } from '@ediffi/core';
import type { ImageEncoder } from '@ediffi/encoders';
import { loadModel, type CardStage, type LoadModelOptions, type Model } from '@ediffi/model';
import { createBackend } from '@ediffi/backends/auto';
import { lorasByFile, lorasSaid, withLoras, type ExpertLoras } from './loras.js';
import { lazy, lazyEncoder } from './open/lazy.js';
import type { PipelineParts } from './parts.js';
import { Cascade, Pipeline } from './pipeline.js';
import { SharedLoads } from './shared-loads.js';
import { perInstrument, type BaseStage, type Stage, type Upsampler } from './stage.js';

/** Options of loadEdiffi and loadBase. */
export interface LoadEdiffiOptions extends LoadModelOptions {
  /** What runs the graphs; the caller's to dispose. Default: onnxruntime-node in worker threads, disposed with the pipeline; a page gives its own (`ortWeb`). */
  readonly backend?: Backend;
  /** Threads inside one operator. Default: the backend's (1: the same bytes on every machine). */
  readonly threads?: number;
  /** How many experts of a stage may be in memory at once. Default: all. */
  readonly resident?: number;
  /** LoRAs merged into experts by their names, each with its weight (arXiv 2106.09685); a plain list goes into every expert of the base. Default: none. */
  readonly loras?: ExpertLoras;
  readonly signal?: Abort;
}

/**
 * Opens the embedded eDiff-I with its super-resolution stages. Graphs load when they are first needed. Rejects with ModelError for missing or damaged files, OptionError for LoRAs of unknown experts.
 *
 * @example
 * ```ts
 * import { loadEdiffi } from 'ediffi';
 *
 * const ediffi = await loadEdiffi();
 * const picture = await ediffi.generate('a cat in space', { seed: 7, steps: 8 });
 * console.log(picture.metadata.plan, picture.width, picture.height);
 * await ediffi.dispose();
 * ```
 */
export async function loadEdiffi(options: LoadEdiffiOptions = {}): Promise<Cascade> {
  const { parts, owned } = await open(options);
  return new Cascade({ ...parts, upsamplers: parts.upsamplers ?? [] }, owned);
}

/** Opens the embedded eDiff-I without super-resolution: pictures of the base's own size. */
export async function loadBase(options: LoadEdiffiOptions = {}): Promise<Pipeline> {
  const { parts: { upsamplers: _, ...parts }, owned } = await open(options);
  return new Pipeline(parts, owned);
}

async function open(options: LoadEdiffiOptions): Promise<{ parts: PipelineParts; owned: { dispose(): Promise<void> }[] }> {
  options.signal?.throwIfAborted();
  void Promise.all([import('./generate.js'), import('./embedded-encoders.js')]).catch(() => undefined); // what paints comes while card and weights do; a failure shows where it is needed
  const model = await loadModel(options);
  const loras = lorasByFile(model.card.stages, options.loras);
  const backend = options.backend ?? (await createBackend());
  const owned: { dispose(): Promise<void> }[] = options.backend ? [] : [backend];
  const graphs = new SharedLoads((file) => withLoras(model.source(file), loras.get(file)), backend, options.threads);
  const own = <T extends { dispose(): Promise<void> }>(part: T): T => (owned.unshift(part), part);
  const { card } = model;
  const encoders: Record<string, PromptEncoder> = {};
  let imageEncoder: ImageEncoder | undefined;
  for (const [name, { file, width, length = 0, tokenizer, size }] of Object.entries(card.encoders)) {
    if (tokenizer !== undefined) {
      encoders[name] = own(lazyEncoder(name, width, length, async () => {
        const { clipTextEncoder, t5Encoder } = await import('./embedded-encoders.js');
        return (name === 't5' ? t5Encoder : clipTextEncoder)(await graphs.session(file), await model.tokenizer(tokenizer), { length, width });
      }));
    } else if (size !== undefined) imageEncoder = own(lazyImageEncoder(width, size, async () => (await import('./embedded-encoders.js')).clipImageEncoder(await graphs.session(file), { size, width })));
  }
  const stages = card.stages.map((stage) => stageOf(stage, model, graphs, options, own));
  const [base, ...upsamplers] = stages;
  const parts: PipelineParts = {
    encoders,
    ...(imageEncoder && { imageEncoder }),
    base: base as BaseStage,
    device: backend.device,
    ...(upsamplers.length > 0 && { upsamplers: upsamplers as Upsampler[] }),
    words: card.words,
    ...(card.signs && { signs: card.signs }),
    versions: { [card.name]: card.version, ...lorasSaid(card.stages.flatMap((stage) => stage.experts.map(({ name, file }) => [name, loras.get(file) ?? []] as const))) },
  };
  return { parts, owned };
}

function stageOf(card: CardStage, model: Model, graphs: SharedLoads, options: LoadEdiffiOptions, own: <T extends { dispose(): Promise<void> }>(part: T) => T): Stage {
  const { name, sigmaData, cNoise, sigmaMin, sigmaMax, experts, defaults } = card;
  const denoiserOf = async (file: string, instrument?: Instrumentation): Promise<Denoiser> => precondition(sessionNetwork(await graphs.session(file, instrument)), { sigmaData, sigmaMin, sigmaMax, noise: cNoise });
  const ensemble = (instrument?: Instrumentation): ExpertEnsemble =>
    own(
      new ExpertEnsemble(
        experts.map(({ file, name, sigmaMin, sigmaMax, guidance }) => ({ name, sigmaMin, sigmaMax, ...(guidance !== undefined && { guidance }), denoiser: () => denoiserOf(file, instrument) })),
        options.resident === undefined ? {} : { resident: options.resident },
      ),
    );
  const files = model.card.files;
  return {
    name,
    denoiser: ensemble(),
    instrumented: perInstrument(ensemble),
    defaults,
    widths: Object.fromEntries(Object.entries(model.card.encoders).map(([encoder, { width }]) => [encoder, width])),
    parameters: Object.fromEntries(experts.map((expert) => [expert.name, files[expert.file]!.parameters])),
    ...(card.factor === undefined ? { size: card.size!, multiple: card.multiple! } : { factor: card.factor, residualScale: card.residualScale!, augmentation: card.augmentation!, ...(card.optional && { optional: true }) }),
  } as Stage;
}

function lazyImageEncoder(width: number, size: number, load: () => Promise<ImageEncoder>): ImageEncoder {
  const made = lazy(load);
  return { name: 'clip-image', width, size, encode: async (pictures, call) => (await made.value()).encode(pictures, call), dispose: made.dispose };
}
