/*
 * One stage of the cascade: conditioning in, picture out, a step at a time. A base stage starts from noise or from a noised picture;
 * a super-resolution stage from the enlarged picture plus noise, and its network answers for the residual (core's `residual`).
 */
import { bind, cpu, float32, guided, lincomb, NonFiniteError, placed, randnBatch, residual, resizePlanes, ShapeError, thresholded, zeros, type Abort, type AttentionRecord, type CallOptions, type Conditioning, type Denoise, type Denoiser, type Device, type Generator, type GuidedCondition, type HostTensor, type Tensor } from '@ediffi/core';
import { brownianNoise, type Noise, type Step } from '@ediffi/sampler';
import { inpainted, kept, type Known } from './inpaint.js';
import { resized } from './pictures/input.js';
import type { StageRun } from './resolve.js';
import { isUpsampler, type Autoencoder, type BaseStage, type Latents, type Stage, type Upsampler } from './stage.js';

/** What the pictures are to show: with and without the reference picture, and what they are not to show. */
export interface Conditions {
  readonly styled: Conditioning;
  readonly plain: Conditioning;
  readonly negative: Conditioning;
  readonly window: { readonly from?: number; readonly to?: number };
}

/** What a stage starts from. `generators`: one per picture, so that a picture does not depend on its batch mates. */
export interface StageStart {
  readonly generators: readonly Generator[];
  /** Super-resolution: the pictures to enlarge `[B, 3, h, w]`. */
  readonly low?: HostTensor;
  /** `[1, 3, H, W]`, any size. */
  readonly image?: HostTensor;
  /** `[1, 1, H, W]`, any size. */
  readonly mask?: HostTensor;
  /** Share of the schedule that is run on `image`. */
  readonly share?: number;
  /** Standard normal, in place of the generators' first draw. */
  readonly noise?: HostTensor;
  /** Between pictures and the stage's latents. */
  readonly autoencoder?: Autoencoder;
  /** Where the picture is between steps. Default: the host. */
  readonly device?: Device;
  readonly signal?: Abort;
  /** Base stage: who listens to the network's attention, and at which strides. */
  readonly attention?: { readonly listen: (record: AttentionRecord) => void; readonly sites?: readonly number[] };
}

/** Runs a stage; yields the solver's steps, returns pictures `[B, 3, H, W]` in −1…1. */
export async function* sample(run: StageRun, conditions: Conditions, start: StageStart): AsyncGenerator<Step, HostTensor, void> {
  const { height, width } = run;
  const { channels, factor } = latentsOf(run.stage);
  const batch = start.generators.length;
  const shape = [channels, height / factor, width / factor];
  const draw = (): HostTensor => randnBatch(shape, start.generators);
  const { denoise, x, known } = isUpsampler(run.stage) ? await enlarging(run, run.stage, conditions, start, draw) : await composing(run, conditions, start, draw);
  const { device = cpu } = start;
  const last = yield* shown(run.solve(known ? known.denoise : denoise, await placed(x, device), { noise: noiseOf(start, draw) }), known?.part, run);
  const host = (await last.toHost()) as HostTensor;
  if (!host.data.every(Number.isFinite)) throw new NonFiniteError('the finished picture', run.sigmas.at(-1)!, 'lower the guidance, or load the model in fp32'); // a device is looked at here only
  if (host.shape[0] !== batch) throw new ShapeError('the finished pictures', `${batch} of them`, `${host.shape[0]}`);
  return start.autoencoder && factor > 1 ? start.autoencoder.decode(host, signalOf(start)) : float32(Float32Array.from(host.data), host.shape);
}

/** What a solver draws from: the generators in turn, or for solvers that want a path one of each picture's own, whose seed its generator gives. */
function noiseOf({ generators, device = cpu }: StageStart, draw: () => HostTensor): Noise {
  const there = (noise: Noise): Noise => async (...interval) => placed(await noise(...interval), device);
  return Object.assign(there(draw), { asPath: (seed?: number) => there(brownianNoise(generators.map((generator) => seed ?? generator.integer(0, Number.MAX_SAFE_INTEGER)))) });
}

/** What a stage runs: the closed denoiser, where it begins, and what must stay. */
interface Composition {
  readonly denoise: Denoise;
  readonly x: HostTensor;
  readonly known?: { readonly denoise: Denoise; readonly part: Known };
}

const latentsOf = (stage: Stage | BaseStage): Latents => ('latents' in stage ? stage.latents : undefined) ?? { channels: 3, factor: 1 };

/** Shows the kept part as it is at each step: solvers that end above σ = 0, or add noise, leave it on its way. */
async function* shown(steps: AsyncGenerator<Step, Tensor, void>, part: Known | undefined, { alpha, stage }: StageRun): AsyncGenerator<Step, Tensor, void> {
  if (!part || !stage.scheduled) return yield* steps;
  let left = Infinity;
  const mixed = async (x: Tensor, sigma: number): Promise<HostTensor> => kept((await x.toHost()) as HostTensor, part, sigma, alpha);
  try {
    for (;;) {
      const { done, value } = await steps.next();
      if (done) return await mixed(value, 0);
      left = value.count - value.index - 1;
      yield { ...value, x: await mixed(value.x, left === 0 ? 0 : value.sigmaNext) };
    }
  } finally {
    await steps.return(undefined as unknown as Tensor);
  }
}

const signalOf = (start: StageStart): CallOptions => (start.signal ? { signal: start.signal } : {});

/** The base stage: guidance and threshold in the picture's own σ, from noise or from a picture, the kept part of which stays. */
async function composing(run: StageRun, conditions: Conditions, start: StageStart, draw: () => HostTensor): Promise<Composition> {
  const { plain: { regions } } = conditions;
  const { attention } = start;
  const { inpaints = false } = latentsOf(run.stage);
  const instrument = { ...(regions && { regions: true, statistic: regions.statistic }), ...(attention && { maps: attention.sites ?? true }) };
  const batch = start.generators.length;
  const image = start.image && spread(resized(start.image, run.height, run.width), batch);
  const mask = start.mask && maskFor(run, start.mask);
  // Where all is to be repainted, diffusers' pipelines begin with pure noise.
  const pure = !image || (run.stage.scheduled !== undefined && mask !== undefined && start.share === 1);
  const encode = async (picture: HostTensor): Promise<HostTensor> => (start.autoencoder ? start.autoencoder.encode(picture, { noise: () => draw(), ...signalOf(start) }) : picture);
  const center = image && !(inpaints && pure) ? await encode(image) : undefined;
  const noise = start.noise ? spread(start.noise, batch) : draw();
  const { sigmas: [top = 1], alpha } = run;
  const clean = (await lincomb([run.startScale, noise])) as HostTensor;
  const x = center && !pure ? ((await lincomb([alpha(top), center], [top, noise])) as HostTensor) : clean;

  const channels = inpaints ? await keptChannels(run, start, mask, batch, encode) : undefined;
  const prepare = (condition: Conditioning): Conditioning => (channels ? { ...condition, channels } : condition);
  const denoiser = run.guided(regions || attention ? instrument : undefined);
  const denoise = windowed(denoiser, conditions, { ...signalOf(start), ...(attention && { attention: attention.listen }) }, prepare);
  if (!center || !mask || inpaints) return { denoise, x };
  if (start.autoencoder) draw(); // diffusers encodes the masked picture too, though a plain network has no use for it
  const part = { image: center, noise, mask };
  const first = pure && run.stage.scheduled ? unmixed(denoise, x) : denoise;
  return { denoise, x: pure ? await kept(x, part, top, alpha) : x, known: { denoise: inpainted(first, part), part } };
}

/** The first call sees `x` as it is, without the kept part. */
function unmixed(denoise: Denoise, x: HostTensor): Denoise {
  let calls = 0;
  return Object.assign((y: Tensor, sigma: number) => denoise(calls++ === 0 ? x : y, sigma), denoise.alpha && { alpha: denoise.alpha });
}

/** A mask in the stage's own size: by area for pictures; for latents black or white and by nearest neighbour, as diffusers makes it. */
function maskFor(run: StageRun, mask: HostTensor): HostTensor {
  const { factor } = latentsOf(run.stage);
  const plane = resized(mask, run.height, run.width);
  if (factor === 1) return plane;
  const [h, w] = [run.height / factor, run.width / factor];
  return float32(Float32Array.from({ length: h * w }, (_, i) => Number(plane.data[Math.floor(i / w) * factor * run.width + (i % w) * factor]! >= 0.5)), [1, 1, h, w]);
}

/** What an inpainting network takes besides the picture: the mask and the latents of what is kept `[B, 1 + C, h, w]`; without a mask everything is painted. */
async function keptChannels(run: StageRun, start: StageStart, mask: HostTensor | undefined, batch: number, encode: (picture: HostTensor) => Promise<HostTensor>): Promise<HostTensor> {
  const { height, width } = run;
  const full = start.mask ? resized(start.mask, height, width) : undefined;
  const picture = start.image ? resized(start.image, height, width) : zeros([1, 3, height, width]);
  const area = height * width;
  const held = float32(picture.data.map((v, i) => ((full?.data[i % area] ?? 1) < 0.5 ? v : 0)), picture.shape);
  const latents = await encode(spread(held, batch));
  const [, channels = 1, h = 1, w = 1] = latents.shape;
  const out = new Float32Array(batch * (1 + channels) * h * w);
  for (let row = 0; row < batch; row++) {
    const at = row * (1 + channels) * h * w;
    if (mask) out.set(mask.data, at);
    else out.fill(1, at, at + h * w);
    out.set(latents.data.subarray(row * channels * h * w, (row + 1) * channels * h * w), at + h * w);
  }
  return float32(out, [batch, 1 + channels, h, w]);
}

/** A super-resolution stage, begun from the enlarged picture under noise. */
async function enlarging(run: StageRun, stage: Upsampler, conditions: Conditions, start: StageStart, draw: () => HostTensor): Promise<Composition> {
  if (stage.beside) return guidedBeside(run, stage.beside, conditions, start, draw);
  const { denoise, center } = await upsampling(run, stage, conditions, start);
  const noise = draw();
  const x = (await lincomb([1, center], [run.sigmas[0]!, noise])) as HostTensor;
  if (!start.image || !start.mask) return { denoise, x };
  const image = spread(resized(start.image, run.height, run.width), start.generators.length);
  const part = { image, noise, mask: maskFor(run, start.mask) };
  return { denoise, x, known: { denoise: inpainted(denoise, part), part } };
}

/** A super-resolution stage begun from noise: the enlarged picture enters as channels. */
async function guidedBeside(run: StageRun, beside: NonNullable<Upsampler['beside']>, conditions: Conditions, start: StageStart, draw: () => HostTensor): Promise<Composition> {
  const noise = draw();
  const x = (await lincomb([run.startScale, noise])) as HostTensor;
  const low = start.low!;
  const [batch = 1, channels = 1, h = 1, w = 1] = low.shape;
  const up = float32(resizePlanes(low.data, batch * channels, h, w, run.height, run.width, { alignCorners: true }), [batch, channels, run.height, run.width]);
  const { channels: more, inputs } = beside(up, run.augmentation, draw());
  const prepare = ({ regions: _, ...condition }: Conditioning): Conditioning => ({ ...condition, ...(more && { channels: more }), inputs: { ...condition.inputs, ...inputs } });
  const denoise = windowed(run.guided(), conditions, signalOf(start), prepare);
  if (!start.image || !start.mask) return { denoise, x };
  const part = { image: spread(resized(start.image, run.height, run.width), batch), noise, mask: maskFor(run, start.mask) };
  return { denoise, x: await kept(x, part, run.sigmas[0]!, run.alpha), known: { denoise: inpainted(denoise, part), part } };
}

/** A super-resolution stage: D of the picture from the network's D of the residual, conditioned on the enlarged picture. */
async function upsampling(run: StageRun, stage: Upsampler, conditions: Conditions, start: StageStart): Promise<{ denoise: Denoise; center: HostTensor }> {
  const s = stage.residualScale;
  const names = stage.inputs ?? { lowRes: 'low_res', augmentation: 'augmentation' };
  const low = noised(start.low!, run.augmentation, start.generators);
  const up = resized(low, run.height, run.width);
  const batch = low.shape[0]!;
  const inputs = { [names.lowRes]: low, [names.augmentation]: float32(new Float32Array(batch).fill(run.augmentation), [batch]) };
  const scale = typeof run.scale === 'function' ? run.scale : undefined;
  const { window, ...rest } = run.guidance;
  const inner = guided(stage.denoiser, scale ? (sigma: number) => scale(sigma * s) : run.scale, { ...rest, ...(window && { window: { from: (window.from ?? 0) / s, to: (window.to ?? Infinity) / s } }) });
  const denoiser = thresholded(residual(inner, await placed(up, start.device ?? cpu), s), run.threshold);
  // Layout is settled by now: regions are for the base stage.
  const denoise = windowed(denoiser, conditions, signalOf(start), ({ regions: _, ...condition }) => ({ ...condition, inputs }));
  return { denoise, center: up };
}

/** Closes a guided denoiser over its conditions; outside the style's window it is the one without the reference picture. */
function windowed(denoiser: Denoiser<GuidedCondition>, conditions: Conditions, options: CallOptions, prepare: (condition: Conditioning) => Conditioning): Denoise {
  const negative = prepare(conditions.negative);
  const plain = bind(denoiser, { positive: prepare(conditions.plain), negative }, options);
  if (conditions.styled === conditions.plain) return plain;
  const styled = bind(denoiser, { positive: prepare(conditions.styled), negative }, options);
  const { from = 0, to = Infinity } = conditions.window;
  return Object.assign((...[x, sigma]: Parameters<Denoise>) => (sigma > from && sigma <= to ? styled : plain)(x, sigma), { alpha: (sigma: number) => denoiser.alpha(sigma) });
}

function noised(low: HostTensor, amount: number, generators: readonly Generator[]): HostTensor {
  if (amount === 0) return low;
  const noise = randnBatch(low.shape.slice(1), generators);
  return float32(low.data.map((v, i) => v + amount * noise.data[i]!), low.shape);
}

/** `[1, …]` repeated to `[batch, …]`. */
function spread(tensor: HostTensor, batch: number): HostTensor {
  if (tensor.shape[0] === batch) return tensor;
  const out = new Float32Array(tensor.data.length * batch);
  for (let i = 0; i < batch; i++) out.set(tensor.data, i * tensor.data.length);
  return float32(out, [batch, ...tensor.shape.slice(1)]);
}
