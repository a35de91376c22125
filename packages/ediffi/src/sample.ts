/*
 * One stage of the cascade: conditioning in, picture out, a step at a time. A base stage starts from noise or from a noised picture;
 * a super-resolution stage from the enlarged picture plus noise, and its network answers for the residual (core's `residual`).
 */
import { bind, float32, guided, lincomb, randnBatch, residual, thresholded, type Abort, type AttentionRecord, type CallOptions, type Conditioning, type Denoise, type Denoiser, type Generator, type GuidedCondition, type HostTensor } from '@ediffi/core';
import type { Step } from '@ediffi/sampler';
import { inpainted } from './inpaint.js';
import { resized } from './pictures/input.js';
import type { StageRun } from './resolve.js';
import { isUpsampler, type Upsampler } from './stage.js';

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
  readonly signal?: Abort;
  /** Base stage: who listens to the network's attention, and at which strides. */
  readonly attention?: { readonly listen: (record: AttentionRecord) => void; readonly sites?: readonly number[] };
}

/** Runs a stage; yields the solver's steps, returns pictures `[B, 3, H, W]` in −1…1. */
export async function* sample(run: StageRun, conditions: Conditions, start: StageStart): AsyncGenerator<Step, HostTensor, void> {
  const { height, width, sigmas } = run;
  const batch = start.generators.length;
  const top = sigmas[0]!;
  const shape = [3, height, width];
  const draw = (): HostTensor => randnBatch(shape, start.generators);
  const image = start.image && spread(resized(start.image, height, width), batch);

  const { denoise, center } = isUpsampler(run.stage) ? upsampling(run, run.stage, conditions, start) : { denoise: composing(run, conditions, start), center: image };
  const noise = draw();
  const x = (await (center ? lincomb([1, center], [top, noise]) : lincomb([top, noise]))) as HostTensor;
  const masked = image && start.mask ? inpainted(denoise, { image, noise, mask: spread(resized(start.mask, height, width), batch) }) : denoise;
  const last = yield* run.solver(masked, x, sigmas, { noise: draw });
  const host = (await last.toHost()) as HostTensor;
  return float32(Float32Array.from(host.data), host.shape);
}

const signalOf = (start: StageStart): CallOptions => (start.signal ? { signal: start.signal } : {});

/** The base stage: guidance and threshold in the picture's own σ. */
function composing(run: StageRun, conditions: Conditions, start: StageStart): Denoise {
  const { plain: { regions } } = conditions;
  const { attention } = start;
  const instrument = { ...(regions && { regions: true, statistic: regions.statistic }), ...(attention && { maps: attention.sites ?? true }) };
  const changed = (regions || attention) && run.stage.instrumented?.(instrument);
  const denoiser = guided(changed ?? run.stage.denoiser, run.scale, { ...run.guidance, threshold: run.threshold });
  return windowed(denoiser, conditions, { ...signalOf(start), ...(attention && { attention: attention.listen }) }, (condition) => condition);
}

/** A super-resolution stage: D of the picture from the network's D of the residual, conditioned on the enlarged picture. */
function upsampling(run: StageRun, stage: Upsampler, conditions: Conditions, start: StageStart): { denoise: Denoise; center: HostTensor } {
  const s = stage.residualScale;
  const names = stage.inputs ?? { lowRes: 'low_res', augmentation: 'augmentation' };
  const low = noised(start.low!, run.augmentation, start.generators);
  const up = resized(low, run.height, run.width);
  const batch = low.shape[0]!;
  const inputs = { [names.lowRes]: low, [names.augmentation]: float32(new Float32Array(batch).fill(run.augmentation), [batch]) };
  const scale = typeof run.scale === 'function' ? run.scale : undefined;
  const { window, ...rest } = run.guidance;
  const inner = guided(stage.denoiser, scale ? (sigma: number) => scale(sigma * s) : run.scale, { ...rest, ...(window && { window: { from: (window.from ?? 0) / s, to: (window.to ?? Infinity) / s } }) });
  const denoiser = thresholded(residual(inner, up, s), run.threshold);
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
