import { CapabilityError, DisposedError, ExpertEnsemble, ModelError, OptionError, type Abort, type Backend, type Conditioning, type Expert, type Instrumentation } from '@ediffi/core';
import { createBackend } from '@ediffi/backends/auto';
import { graphOutline, withoutLayers, type GraphOutline } from '@ediffi/backends/outline';
import type { ReadingOptions } from '@ediffi/encoders';
import type { SchedulerConfig } from '@ediffi/sampler';
import type { ExpertLoras } from '../loras.js';
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
import { key } from './graph-key.js';
import type { Disposable } from './lazy.js';
import { numberOf, readIndex, readJson, type Config, type ModelIndex } from './model-index.js';
import { loraTargets, mergedGraphs, type MergedGraphs } from './model-loras.js';
import { asExpert, checkFace, ensembleNetwork, graphNames, graphNetwork, textLength, type Told } from './network.js';
import { openTexts } from './open-texts.js';
import { plainDenoiser, scheduling } from './schedule.js';
import { sitesOf } from './sites.js';
import { slicesOf, withSlices } from './slices.js';
import { adapted, joinTexts, type TextPlan, type TextWidths } from './texts.js';
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
  /**
   * LoRAs merged into the graphs as they are loaded (arXiv 2106.09685). A plain list goes into the model's own networks and text encoders, each taking the layers that are for it (not into a refiner);
   * or by name: an expert's, or a text encoder's folder (`{ base: […], refiner: […], text_encoder: […] }`). Default: none.
   */
  readonly loras?: ExpertLoras;
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
  let merged: MergedGraphs | undefined;
  let disposed = false;
  owned.push({ dispose: async () => void (disposed = true) });
  const sourceOf = (graph: string): ReturnType<typeof graphSource> => {
    if (disposed) throw new DisposedError(index.files.location); // a backend of the caller's would load it
    const [model = '', file = '', skipped] = graph.split('\u0000');
    const changed = merged?.sources.get(key(model, file));
    const source = changed ? Promise.resolve(changed) : graphSource(models.get(model)!, file);
    return skipped === undefined ? source : source.then((whole) => withoutLayers(whole, Number(skipped)));
  };
  const loads = new SharedLoads(sourceOf, backend, options.threads);
  const own = <T extends Disposable>(part: T): T => (owned.unshift(part), part);
  try {
    const texts = await openTexts(index, second, withLengths(family, options.lengths), loads, own, () => reading, options.clipSkip);
    const networks = await openNetworks(index, second, family, texts.widths);
    const ofModel = (file: string): string => key('model', file);
    merged = await mergedGraphs(options.loras, loraTargets(networks, texts.graphs, index), sourceOf);
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
    const parts: PipelineParts = { encoders: texts.encoders, base, device: backend.device, ...(upsamplers.length > 0 && { upsamplers }), unsaid: unsaidOf(index, family), ...(autoencoder && { autoencoder }), components: { ...texts.parameters, ...controls?.parameters, ...(imagePrompt?.parameters !== undefined && { image_encoder: imagePrompt.parameters }), ...(base.latents && (await vaeParameters(index))) }, versions: { [family.title]: index.pipeline, ...merged.said } };
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
