import type { DenoiserLike, Expert, ExpertEnsemble } from '@ediffi/core';
import { OptionError } from '@ediffi/core';
import type { DescribeOptions } from './describe.js';
import type { OpenOptions } from './open/open.js';
import type { FilesSource } from './sources/index.js';
import type { BatchOptions, GenerateOptions, Prompt } from './options.js';
import type { GeneratedImage } from './pictures/generated-image.js';
import { painting, type Painting } from './painting.js';
import type { PipelineParts } from './parts.js';
import { checkWidths } from './prompts.js';
import { expertsOf, perInstrument, type Stage, type Upsampler } from './stage.js';
import type { GenerationStep } from './step.js';

/** Changes to a pipeline: any part, or single experts by name. */
export interface PipelineChanges extends Partial<PipelineParts> {
  readonly experts?: Readonly<Record<string, DenoiserLike | (() => Promise<DenoiserLike>)>>;
}

interface Disposable {
  dispose(): Promise<void>;
}

/** Prompt → picture: encoders, a base stage and, in a Cascade, super-resolution stages. Immutable; `with` makes variants. */
export class Pipeline {
  readonly parts: PipelineParts;
  readonly #owned: readonly Disposable[];

  /** Throws ShapeError when an encoder's width is not the one a stage takes. `owned` is disposed with the pipeline. */
  constructor(parts: PipelineParts, owned: readonly Disposable[] = []) {
    const { imageEncoder } = parts;
    checkWidths({ ...parts.encoders, ...(imageEncoder && { 'clip-image': imageEncoder }) }, [parts.base, ...(parts.upsamplers ?? [])]);
    this.parts = parts;
    this.#owned = owned;
  }

  /**
   * Opens a model of diffusers' layout with ONNX graphs: a folder (in a page: a URL), a hub id (`org/name`, `org/name@revision`) or bytes by path. Graphs load when they are first
   * needed. Rejects with ModelError for what is missing, damaged or contradicts itself, CapabilityError for families and graphs that nothing here runs.
   */
  static async open(source: FilesSource, options: OpenOptions = {}): Promise<Pipeline> {
    const { openParts } = await import('./open/open.js'); // pages that paint with the embedded model never load it
    const { parts, owned } = await openParts(source, options);
    return new Pipeline(parts, owned);
  }

  /** One picture, or several with a list of seeds or a count. Rejects with a typed error before any work on illegal options, with signal.reason on abort. */
  generate(prompt: Prompt, options: BatchOptions): Promise<GeneratedImage[]>;
  generate(prompt: Prompt, options?: GenerateOptions): Promise<GeneratedImage>;
  generate(prompt: Prompt, options: GenerateOptions | BatchOptions = {}): Promise<GeneratedImage | GeneratedImage[]> {
    return painting(this.#paint(prompt, options)).finish();
  }

  /** The same, a step at a time: `for await (const { sigma, expert, preview } of painting)`, then `await painting.finish()`. */
  stream(prompt: Prompt, options: BatchOptions): Painting<GeneratedImage[]>;
  stream(prompt: Prompt, options?: GenerateOptions): Painting<GeneratedImage>;
  stream(prompt: Prompt, options: GenerateOptions | BatchOptions = {}): Painting<GeneratedImage | GeneratedImage[]> {
    return painting(this.#paint(prompt, options));
  }

  async *#paint(prompt: Prompt, options: GenerateOptions | BatchOptions): AsyncGenerator<GenerationStep, GeneratedImage | GeneratedImage[], void> {
    const { paintPictures } = await import('./generate.js');
    const pictures = yield* paintPictures(this.parts, prompt, options);
    return isBatch(options) ? pictures : pictures[0]!;
  }

  /** Checks a call as generate would and tells its network calls per stage and expert, without running anything. */
  async plan(prompt: Prompt, options: GenerateOptions | BatchOptions = {}): Promise<{ stage: string; experts: readonly { name: string; calls: number }[] }[]> {
    const [{ resolveRequest }, { planCalls }] = await Promise.all([import('./request.js'), import('./plan.js')]);
    return Promise.all(resolveRequest(this.parts, prompt, options).runs.map(async (run) => ({ stage: run.stage.name, experts: await planCalls(run) })));
  }

  /** Parameters, noise intervals and calls as text; and what one network call costs on this machine. */
  async describe(options: DescribeOptions = {}): Promise<string> {
    return (await import('./describe.js')).describe(this.parts, options);
  }

  /** A variant; this pipeline is untouched. Throws OptionError for an expert that no stage has. */
  with(changes: PipelineChanges): Pipeline {
    return new Pipeline(...changed(this.parts, changes));
  }

  /** Releases what this pipeline opened itself. Idempotent. */
  async dispose(): Promise<void> {
    await Promise.all(this.#owned.map((part) => part.dispose()));
  }
}

/** A pipeline with super-resolution stages. */
export class Cascade extends Pipeline {
  /** Throws OptionError when there is no stage that enlarges. */
  constructor(parts: PipelineParts & { readonly upsamplers: readonly Upsampler[] }, owned: readonly Disposable[] = []) {
    if (parts.upsamplers.length === 0) throw new OptionError('upsamplers', '[]', 'at least one stage that enlarges; for the base alone use Pipeline');
    super(parts, owned);
  }

  override with(changes: PipelineChanges): Cascade {
    const [parts, owned] = changed(this.parts, changes);
    return new Cascade({ ...parts, upsamplers: parts.upsamplers ?? [] }, owned);
  }
}

const isBatch = (options: GenerateOptions | BatchOptions): options is BatchOptions => Array.isArray(options.seed) || ('count' in options && options.count !== undefined);

function changed(parts: PipelineParts, { experts = {}, ...changes }: PipelineChanges): [PipelineParts, Disposable[]] {
  let next: PipelineParts = { ...parts, ...changes };
  const owned: Disposable[] = [];
  for (const [name, denoiser] of Object.entries(experts)) {
    const swap = <S extends Stage>(stage: S): S => (exchangeable(stage).includes(name) ? swapped(stage, name, denoiser, owned) : stage);
    const base = swap(next.base);
    const upsamplers = next.upsamplers?.map(swap);
    if (base === next.base && (upsamplers ?? []).every((stage, i) => stage === next.upsamplers![i])) {
      const known = [next.base, ...(next.upsamplers ?? [])].flatMap(exchangeable);
      throw new OptionError('expert name', name, `one of ${known.join(', ')}`);
    }
    next = { ...next, base, ...(upsamplers && { upsamplers }) };
  }
  return [next, owned];
}

/** Names of the experts that can be exchanged. */
function exchangeable(stage: Stage): string[] {
  return stage.exchange || 'with' in stage.denoiser ? expertsOf(stage).map((expert) => expert.name) : [];
}

/** The stage with one expert exchanged, both plain and instrumented. The new ensembles load anew what they need and are disposed with the variant. */
function swapped<S extends Stage>(stage: S, name: string, denoiser: Expert['denoiser'], owned: Disposable[]): S {
  const own = <T extends Disposable>(part: T): T => (owned.push(part), part);
  const { instrumented, exchange } = stage;
  if (exchange) return { ...stage, ...exchange(name, denoiser, own) };
  const changed = instrumented && perInstrument((instrument) => own((instrumented(instrument) as ExpertEnsemble).with(name, denoiser)));
  return { ...stage, denoiser: own((stage.denoiser as ExpertEnsemble).with(name, denoiser)), ...(changed && { instrumented: changed }) };
}
