import { CapabilityError, ExpertEnsemble, integer, ModelError, OptionError, type Abort, type Backend, type Conditioning, type Expert, type Instrumentation, type PromptEncoder } from '@ediffi/core';
import { createBackend } from '@ediffi/backends/auto';
import { graphOutline, withoutLayers, type GraphOutline } from '@ediffi/backends/outline';
import type { ReadingOptions } from '@ediffi/encoders';
import type { SchedulerConfig } from '@ediffi/sampler';
import type { PipelineParts } from '../parts.js';
import { SharedLoads } from '../shared-loads.js';
import { filesOf, graphSource, type FilesSource, type HubOptions, type ModelFiles } from '../sources/index.js';
import { perInstrument, type ActingStage, type BaseStage, type ImagePromptSlot, type Upsampler } from '../stage.js';
import { cutAt, type ExpertCut } from './cut.js';
import { openControls, ownControls, type Controls, type ControlSource } from './controls.js';
import { enlargingStage } from './enlarging.js';
import { fixedSize } from './face.js';
import { families, type Family } from './families.js';
import { foreignExpert } from './foreign.js';
import { framingOf, ownInputs } from './framing.js';
import { openImagePrompt } from './image-prompt.js';
import { lazyEncoder, type Disposable } from './lazy.js';
import { numberOf, readIndex, readJson, type Config, type ModelIndex } from './model-index.js';
import { asExpert, checkFace, ensembleNetwork, graphNames, graphNetwork, textLength, type Told } from './network.js';
import { plainDenoiser, scheduling } from './schedule.js';
import { sitesOf } from './sites.js';
import { slicesOf, withSlices } from './slices.js';
import { adapted, encoderOf, joinTexts, tokenizerOf, type TextPart, type TextPlan, type TextWidths } from './texts.js';
import { checkTiling, type Tiling } from './tiles.js';
import { factorOf, latentChannels, openAutoencoder, vaeParameters } from './vae.js';

/** Options of Pipeline.open. */
export interface OpenOptions extends HubOptions {
  /** What runs the graphs; the caller's to dispose. Default in Node: onnxruntime-node in worker threads, disposed with the pipeline. A page has to give one. */
  readonly backend?: Backend;
  /** Threads inside one operator. Default: the backend's. */
  readonly threads?: number;
  /** How many experts may be in memory at once. Default: all. */
  readonly resident?: number;
  /** A second model of the same family that takes over at low noise, such as SDXL's refiner. */
  readonly refiner?: FilesSource;
  /** Where it takes over: a share of the training timesteps (0.8: the last fifth), or a σ. Default: 0.8, or the model's own boundary. */
  readonly cut?: ExpertCut;
  /** ControlNets (each a folder with model.onnx and config.json), after those that the model has itself. */
  readonly controlnets?: readonly FilesSource[];
  /** Models that enlarge the base's pictures, in order: DeepFloyd IF's second stage. */
  readonly upsamplers?: readonly FilesSource[];
  /** Tokens per prompt, by text encoder; T5's differ between pipelines. Default: as diffusers has it. */
  readonly lengths?: Readonly<Record<string, number>>;
  /**
   * How prompts are read. `weights`: A1111's `(word:1.2)` and BREAK (default: they are text). `long`: CLIP reads long prompts in several windows; default: where the network reads CLIP's
   * tokens and takes any number of them. false: what does not fit is cut and reported, as diffusers does.
   */
  readonly prompts?: ReadingOptions;
  /** How many of CLIP's last layers to leave out besides those that the family leaves out, for positive and negative prompts: A1111's "clip skip" n is n − 1. Default 0. */
  readonly clipSkip?: number;
  /** Guidance per expert, by name. */
  readonly guidance?: Readonly<Record<string, number>>;
  /** In place of the model's own scheduler. */
  readonly scheduler?: SchedulerConfig;
  /**
   * In how many runs of queries the network's finest self-attention is computed: less memory, the same but for rounding. 1: as exported. Default: as many as leave 256
   * queries a run at the model's own size, where its graph can be sliced.
   */
  readonly slices?: number;
  /** How the autoencoder cuts large pictures into tiles. */
  readonly tiling?: Tiling;
  readonly signal?: Abort;
}

/** A network of the model: its graph, its configuration, how it wants its texts. */
interface NetworkPart {
  readonly name: string;
  readonly file: string;
  readonly index: ModelIndex;
  readonly family: Family;
  readonly config: Config;
  readonly outline: GraphOutline;
  readonly join: (condition: Conditioning) => Promise<Conditioning>;
}

/** The parts of a model of diffusers' layout. Rejects with ModelError for what is missing or contradicts itself, CapabilityError for what cannot be opened. */
export async function openParts(source: FilesSource, options: OpenOptions = {}): Promise<{ parts: PipelineParts; owned: Disposable[] }> {
  options.signal?.throwIfAborted();
  if (options.tiling) checkTiling(options.tiling);
  const index = await readIndex(await filesOf(source, options), Object.keys(families));
  const second = options.refiner === undefined ? undefined : await readIndex(await filesOf(options.refiner, options), Object.keys(families));
  const family = families[index.pipeline]!;
  const owned: Disposable[] = [];
  const backend = options.backend ?? (await createBackend());
  if (!options.backend) owned.push(backend);
  const above = await Promise.all((options.upsamplers ?? []).map(async (from) => readIndex(await filesOf(from, options), ['IFSuperResolutionPipeline'])));
  if (family.title !== 'DeepFloyd IF' && above.length) throw new CapabilityError('upsamplers', `${family.title} has no stages that enlarge; they are DeepFloyd IF's`);
  const given = await Promise.all((options.controlnets ?? []).map(async (from, i) => ({ files: await filesOf(from, options), folder: '', model: `control${i}` })));
  const models = new Map<string, ModelFiles>([['model', index.files], ...(second ? [['refiner', second.files] as const] : []), ...given.map(({ model, files }) => [model, files] as const), ...above.map(({ files }, i) => [`sr${i + 1}`, files] as const)]);
  const sourceOf = (key: string): ReturnType<typeof graphSource> => {
    const [model = '', file = '', skipped] = key.split('\u0000');
    const source = graphSource(models.get(model)!, file);
    return skipped === undefined ? source : source.then((whole) => withoutLayers(whole, Number(skipped)));
  };
  const loads = new SharedLoads(sourceOf, backend, options.threads);
  const own = <T extends Disposable>(part: T): T => (owned.unshift(part), part);
  try {
    const texts = await openTexts(index, second, withLengths(family, options.lengths), loads, own, () => reading, options.clipSkip);
    const networks = await openNetworks(index, second, family, texts.widths);
    const ofModel = (file: string): string => key('model', file);
    const controls = await openControls(networks, [...ownControls(index, ofModel), ...given.map(({ files, folder, model }): ControlSource => ({ files, folder, key: key(model, 'model.onnx') }))], loads);
    const reading = readingOf(networks, options.prompts, controls?.fixedTexts);
    if (given.length > 0 && (!controls || controls.slots.some(({ folded }) => folded))) throw new CapabilityError('control', `${index.files.location}: no network takes residuals as inputs, so that ControlNets cannot be added — export the UNet with inputs for them`);
    const imagePrompt = await openImagePrompt(networks, index, loads, ofModel, own);
    const base = await openStage(networks, 'model', family, loads, options, own, { controls, imagePrompt });
    if (above.length === 0 && index.pipeline === 'IFSuperResolutionPipeline') throw new CapabilityError('pipeline', `${index.files.location} enlarges the pictures of another model — open that one, with { upsamplers: [this one] }`);
    const upsamplers: Upsampler[] = [];
    for (const [i, from] of above.entries()) {
      const name = `sr${i + 1}`;
      const stage = await openStage(await openNetworks(from, undefined, families[from.pipeline]!, texts.widths), name, families[from.pipeline]!, loads, { ...options, guidance: {}, scheduler: undefined }, own);
      upsamplers.push(await enlargingStage(from, name, stage, i === 0 ? base.size : base.size * upsamplers.reduce((factor, s) => factor * s.factor, 1)));
    }
    const autoencoder = base.latents && own(await openAutoencoder(index, base, loads, ofModel, options.tiling));
    const parts: PipelineParts = { encoders: texts.encoders, base, device: backend.device, ...(upsamplers.length > 0 && { upsamplers }), unsaid: unsaidOf(index, family), ...(autoencoder && { autoencoder }), components: { ...texts.parameters, ...controls?.parameters, ...(imagePrompt?.parameters !== undefined && { image_encoder: imagePrompt.parameters }), ...(base.latents && (await vaeParameters(index))) }, versions: { [family.title]: index.pipeline } };
    return { parts, owned };
  } catch (error) {
    await Promise.all(owned.map((part) => part.dispose()));
    throw error;
  }
}

function withLengths(family: Family, lengths: OpenOptions['lengths'] = {}): Family {
  const unknown = Object.keys(lengths).find((name) => !family.texts.some((part) => part.name === name));
  if (unknown !== undefined) throw new OptionError('lengths', unknown, `some of ${family.texts.map((part) => part.name).join(', ')}`);
  return { ...family, texts: family.texts.map((part) => (lengths[part.name] === undefined ? part : { ...part, length: lengths[part.name]! })) };
}

const key = (model: string, file: string): string => `${model}\u0000${file}`;

function unsaidOf({ config }: ModelIndex, family: Family): Family['unsaid'] {
  return family.unsaid === 'zeros-if-missing' && config['force_zeros_for_empty_prompt'] === false ? 'encoded' : family.unsaid;
}

/** How prompts are read: in several windows where every network takes any number of text columns. Throws CapabilityError where that is asked for and one does not. */
function readingOf(networks: readonly NetworkPart[], asked: ReadingOptions = {}, others: readonly string[] = []): ReadingOptions {
  const fixed = [...networks.flatMap(({ name, outline, family }) => {
    const length = textLength(outline, graphNames(outline, family));
    return length === undefined ? [] : [`${name} takes ${length}`];
  }), ...others];
  if (asked.long === true && fixed.length > 0) throw new CapabilityError('long prompts', `the network takes a fixed number of text columns (${fixed.join(', ')}) — export it with a dynamic sequence length, or open it without prompts.long`);
  return { ...asked, long: asked.long ?? fixed.length === 0 };
}

/** The text encoders that the model has; graphs load when they are first needed. Rejects with ModelError for a missing one that the family needs. */
async function openTexts(index: ModelIndex, second: ModelIndex | undefined, family: Family, loads: SharedLoads, own: <T extends Disposable>(part: T) => T, reading: () => ReadingOptions, clipSkip = 0): Promise<{ encoders: Record<string, PromptEncoder>; widths: Omit<TextWidths, 'width'>; parameters: Record<string, number> }> {
  integer('clipSkip', clipSkip, 0, 64);
  const isRead = ({ name }: TextPart, { model_type: kind }: Config): boolean => String(kind).startsWith('clip') && family.plan.segments.flat().includes(name);
  let clips = 0;
  const parameters: Record<string, number> = {};
  const encoders: Record<string, PromptEncoder> = {};
  const [tokens, pooled, lengths]: [Record<string, number>, Record<string, number>, Record<string, number>] = [{}, {}, {}];
  for (const part of family.texts) {
    const [model, from] = index.has(part.encoder) ? ['model', index] : second?.has(part.encoder) ? ['refiner', second] : ['', undefined];
    lengths[part.name] = part.length ?? 77;
    if (!from) {
      if (part.optional || isRefinerText(part, index)) continue;
      throw new ModelError(`${index.files.location}: ${family.title} needs ${part.encoder}/, which is missing — export or download the whole model`, part.encoder);
    }
    const config = await readJson(from.files, `${part.encoder}/config.json`);
    const tokenizer = await tokenizerOf(from.files, part.tokenizer);
    const length = part.length ?? tokenizer.length ?? 77;
    const file = `${part.encoder}/model.onnx`;
    const outline = await graphOutline(await graphSource(from.files, file));
    const width = Number(config['hidden_size'] ?? config['d_model']);
    const said = outline.outputs.find((output) => output.name === 'last_hidden_state')?.shape.at(-1);
    if (typeof said === 'number' && said > 0 && said !== width) throw new ModelError(`${file}: its tokens are ${said} wide in the graph, but ${width} by config.json — the files are of different models`, file);
    tokens[part.name] = width;
    parameters[part.encoder] = outline.parameters;
    const projected = outline.outputs.some((output) => output.name === 'text_embeds');
    pooled[part.name] = projected ? Number(config['projection_dim'] ?? width) : width;
    lengths[part.name] = length;
    const clip = isRead(part, config);
    clips += Number(clip);
    const skip = clip ? clipSkip : 0;
    const graph = key(model, file) + (skip > 0 && part.tokens === 'last' ? `\u0000${skip}` : '');
    encoders[part.name] = own(lazyEncoder(part.name, width, length, async () => encoderOf(part, await loads.session(graph), tokenizer, { length, pooledWidth: pooled[part.name]!, skip, ...reading(), ...(!clip && { long: false }) })));
  }
  if (clipSkip > 0 && clips === 0) throw new CapabilityError('clip skip', `${family.title} reads no tokens of CLIP, so that there are no layers to skip — leave out clipSkip`);
  if (Object.keys(encoders).length === 0) throw new ModelError(`${index.files.location}: it has no text encoder`, 'text_encoder');
  return { encoders, widths: { tokens, pooled, lengths }, parameters };
}

/** SDXL's refiner reads the second encoder only. */
const isRefinerText = (part: TextPart, index: ModelIndex): boolean => part.name === 'clip' && index.pipeline.startsWith('StableDiffusionXL') && index.has('text_encoder_2');

/** The networks, from high noise to low. */
async function openNetworks(index: ModelIndex, second: ModelIndex | undefined, family: Family, widths: Omit<TextWidths, 'width'>): Promise<NetworkPart[]> {
  const folders: (readonly [from: ModelIndex, folder: string, name: string])[] = [[index, family.network, second ? 'base' : family.network]];
  const twin = `${family.network}_2`;
  if (index.has(twin)) folders.splice(0, 1, [index, family.network, 'high'], [index, twin, 'low']);
  if (second) folders.push([second, families[second.pipeline]!.network, 'refiner']);
  return Promise.all(folders.map(async ([from, folder, name]): Promise<NetworkPart> => {
    if (!from.has(folder)) throw new ModelError(`${from.files.location}: it has no ${folder}/, the network itself`, folder);
    const own = families[from.pipeline]!;
    const file = `${folder}/model.onnx`;
    const config = await readJson(from.files, `${folder}/config.json`);
    const outline = await graphOutline(await graphSource(from.files, file));
    const names = graphNames(outline, own);
    const plan = planFor(from, own.plan);
    const beside = Math.max(...plan.segments.map((segment) => segment.reduce((sum, encoder) => sum + (widths.tokens[encoder] ?? 0), 0)));
    const width = plan.widthKey === undefined ? beside : numberOf(config, plan.widthKey, beside, `${folder}/config.json`);
    checkFace(outline, names, config, own, width);
    return { name, file, index: from, family: own, config, outline, join: joinTexts(plan, { ...widths, width }) };
  }));
}

/** SDXL's refiner: one encoder, whatever its base reads. */
function planFor(index: ModelIndex, plan: TextPlan): TextPlan {
  const segments = plan.segments.map((segment) => segment.filter((name) => index.pipeline !== 'StableDiffusionXLImg2ImgPipeline' || name !== 'clip' || index.has('text_encoder')));
  return { ...plan, segments };
}

/** What pictures a stage's networks take besides. */
interface Besides {
  readonly controls?: Controls | undefined;
  readonly imagePrompt?: ImagePromptSlot | undefined;
}

async function openStage(networks: readonly NetworkPart[], model: string, family: Family, loads: SharedLoads, options: Omit<OpenOptions, 'scheduler'> & { readonly scheduler?: SchedulerConfig | undefined }, own: <T extends Disposable>(part: T) => T, { controls, imagePrompt }: Besides = {}): Promise<BaseStage> {
  const [first] = networks;
  const { index } = first!;
  const own0 = await readJson(index.files, 'scheduler/scheduler_config.json');
  const scheduler = options.scheduler ?? own0;
  const cut = networks.length > 1 ? cutAt(options.cut ?? boundaryOf(index) ?? 0.8, scheduler) : 0;
  const unknown = Object.keys(options.guidance ?? {}).find((name) => !networks.some((network) => network.name === name));
  if (unknown !== undefined) throw new CapabilityError('guidance', `there is no expert '${unknown}' — experts: ${networks.map((n) => n.name).join(', ')}`);
  const factor = family.pixels ? 1 : await factorOf(index);
  const slices = networks.map(({ outline, config }) => slicesOf(outline, numberOf(config, 'sample_size', family.packed ? 128 : 64, 'config.json'), options.slices));
  /** What the stage does, with some experts exchanged. */
  const acting = (swaps: Readonly<Record<string, Expert['denoiser']>>, keep: <T extends Disposable>(part: T) => T): ActingStage => {
    const experts = (instrument?: Instrumentation): Expert<Told>[] => networks.map((part, i) => ({
      name: part.name,
      sigmaMin: networks.length > 1 && i === 0 ? cut : 0,
      sigmaMax: i === 0 ? Infinity : cut,
      ...(options.guidance?.[part.name] !== undefined && { guidance: options.guidance[part.name]! }),
      denoiser: swaps[part.name] ? foreignExpert(swaps[part.name]!, scheduler, (condition) => ownInputs(condition, part.name)) : async () => {
        const session = await loads.session(key(part.index === index ? model : 'refiner', part.file), withSlices(slices[i]!, instrument));
        return asExpert(adapted(graphNetwork(session, part.family, controls?.live(part, factor)), async (condition) => ownInputs(await part.join(condition), part.name)));
      },
    }));
    const ensembleOf = (instrument?: Instrumentation): ExpertEnsemble<Told> => keep(new ExpertEnsemble(experts(instrument), options.resident === undefined ? {} : { resident: options.resident }));
    const plain = ensembleOf();
    const network = ensembleNetwork(plain);
    const changed = new Map<string, ReturnType<typeof ensembleNetwork>>();
    const networkOf = (instrument?: Instrumentation): ReturnType<typeof ensembleNetwork> => {
      if (!instrument) return network;
      const id = JSON.stringify(instrument);
      const made = changed.get(id) ?? ensembleNetwork(ensembleOf(instrument));
      changed.set(id, made);
      return made;
    };
    return {
      denoiser: plainDenoiser(scheduler, plain, network),
      instrumented: perInstrument((instrument) => plainDenoiser(scheduler, plain, networkOf(instrument))),
      scheduled: scheduling({ family, config: scheduler, ensemble: plain, network: networkOf, factor }),
      exchange: (name, denoiser, kept) => acting({ ...swaps, [name]: denoiser }, kept),
    };
  };
  const embedded = ['guidance', 'timestep_cond'].some((name) => first!.outline.inputs.some((input) => input.name === name));
  const channels = family.packed ? numberOf(first!.config, 'in_channels', 64, 'config.json') / 4 : numberOf(first!.config, 'out_channels', 4, 'config.json');
  const latent = family.pixels ? 3 : await latentChannels(index, channels);
  const size = numberOf(first!.config, 'sample_size', family.packed ? 128 : 64, 'config.json') * factor;
  const fixed = family.packed ? undefined : fixedSize(first!.outline, graphNames(first!.outline, family).sample);
  return {
    name: model === 'model' ? 'base' : model,
    ...acting({}, own),
    framed: framingOf(Object.fromEntries(networks.map(({ name, outline }) => [name, outline]))),
    embedsGuidance: embedded,
    defaults: { steps: family.steps, guidance: family.guidance },
    ...(controls && { controls: controls.slots }),
    ...(imagePrompt && { imagePrompt }),
    sites: () => [...networks.map(({ name, outline }, i) => sitesOf(name, outline, slices[i]!)), ...(controls?.lines ?? []), ...(imagePrompt ? [imagePrompt.line] : [])],
    parameters: Object.fromEntries(networks.map(({ name, outline }) => [name, outline.parameters])),
    size: fixed ? fixed[1] * factor : size,
    ...(fixed && { fixed: [fixed[0] * factor, fixed[1] * factor] as const }),
    multiple: factor * family.patch * halvings(first!.config, family),
    ...(!family.pixels && { latents: { channels: latent, factor, ...(numberOf(first!.config, 'in_channels', latent, 'config.json') === 2 * latent + 1 && { inpaints: true }) } }),
  };
}

/** How often a UNet halves its latents; exports cannot restore an odd size on the way up. */
function halvings({ down_block_types: blocks }: Config, { network }: Family): number {
  return network === 'unet' && Array.isArray(blocks) ? 2 ** (blocks.length - 1) : 1;
}

/** A boundary that the model itself states (Wan 2.2), as a share of the training timesteps done before it. */
function boundaryOf({ config }: ModelIndex): number | undefined {
  const ratio = config['boundary_ratio'];
  return typeof ratio === 'number' ? 1 - ratio : undefined;
}
