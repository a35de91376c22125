/*
 * Control pictures, checked, and as conditioning. The window is of the network calls, as diffusers has it: of N, call i is controlled when
 * i/N ≥ start and (i + 1)/N ≤ end; here its σ decide, as for experts.
 */
import { CapabilityError, finiteNumber, ModelError, OptionError, type Control, type HostTensor } from '@ediffi/core';
import type { ControlPicture } from './options.js';
import { floatsOf, rgbPicture, type RgbPicture } from './pictures/input.js';
import { callSigmas } from './plan.js';
import type { StageRun } from './resolve.js';
import type { Conditions } from './sample.js';
import type { BaseStage, ControlSlot } from './stage.js';

/** A control picture, checked. */
export interface ControlRequest {
  readonly network: string;
  /** As it was given, read. */
  readonly image: HostTensor | RgbPicture;
  readonly scale: number;
  readonly start: number;
  readonly end: number;
  readonly guess: boolean;
  /** It does not touch the negative. */
  readonly positiveOnly: boolean;
  readonly graded: boolean;
}

/** Throws CapabilityError for networks that take no control (or not that kind), ModelError without a ControlNet, OptionError for numbers and names, PictureError, ShapeError. */
export function resolveControls(given: ControlPicture | readonly ControlPicture[], stage: BaseStage): ControlRequest[] {
  const list = Array.isArray(given) ? (given as readonly ControlPicture[]) : [given as ControlPicture];
  const { controls: slots } = stage;
  if (!slots) throw new CapabilityError('control', `${stage.name}: a control picture was given, but no network of this model takes ControlNet residuals — export the UNet with inputs for them (down_block_additional_residuals_0 …, mid_block_additional_residual)`);
  if (slots.length === 0) throw new ModelError(`${stage.name}: a control picture was given, but the model has no controlnet/ — add one, or open the model with { controlnets: ['…'] }`, 'controlnet');
  const used = list.map((control, i) => slotOf(control, i, slots));
  const twice = used.find((slot, i) => slot.folded && used.indexOf(slot) !== i);
  if (twice) throw new OptionError('control network', twice.name, 'each network once: those in the graph take one picture each');
  return list.map((control, i) => resolved(control, used[i]!, list.length > 1 ? `control ${i + 1}` : 'control'));
}

function slotOf({ network }: ControlPicture, i: number, slots: readonly ControlSlot[]): ControlSlot {
  const names = slots.map(({ name }) => name).join(', ');
  const found = network === undefined ? slots[i] : slots.find(({ name }) => name === network);
  if (!found) throw new OptionError('control network', network ?? `picture ${i + 1} of them`, network === undefined ? `at most ${slots.length} pictures, or { network } to say which of ${names} reads each` : `one of ${names}`);
  return found;
}

function resolved({ image, scale = 1, start = 0, end = 1, guess = false }: ControlPicture, { name, folded, pools = false }: ControlSlot, what: string): ControlRequest {
  if (image === undefined) throw new OptionError(`${what} image`, 'none', 'a picture');
  finiteNumber(`${what} scale`, scale);
  if (!(start >= 0 && start < end && end <= 1)) throw new OptionError(`${what} window`, `${start} to ${end}`, 'shares of the steps, 0 ≤ start < end ≤ 1');
  if (typeof guess !== 'boolean') throw new OptionError(`${what} guess`, guess, 'true or false');
  if (guess && folded) throw new CapabilityError('control guess', `${name} is part of the network's graph, where it acts on the negative as on the positive — leave guess out, or export the ControlNet on its own`);
  return { network: name, image: floatsOf(image, what) ?? rgbPicture(image, what), scale, start, end, guess, positiveOnly: guess || pools, graded: guess && !pools };
}

/** The conditions with the control pictures in them. */
export async function controlled(conditions: Conditions, requests: readonly ControlRequest[] | undefined, run: StageRun): Promise<Conditions> {
  if (!requests?.length) return conditions;
  const sigmas = (await callSigmas(run)).map((sigma) => sigma / Math.max(run.alpha(sigma), 1e-6));
  const { controlImage } = await import('./control-image.js');
  const controls = requests.map(({ network, image, graded, ...request }): Control => ({ network, image: controlImage(image, run), scale: windowed(request, sigmas), ...(graded && { graded }) }));
  const plain = { ...conditions.plain, controls };
  return {
    ...conditions,
    plain,
    styled: conditions.styled === conditions.plain ? plain : { ...conditions.styled, controls },
    negative: { ...conditions.negative, controls: controls.filter((_, i) => !requests[i]!.positiveOnly) },
  };
}

/** The scale by σ: 0 before and after the window. Between two calls it changes at the geometric mean of their σ. */
export function windowed({ scale, start, end }: Pick<ControlRequest, 'scale' | 'start' | 'end'>, sigmas: readonly number[]): (sigma: number) => number {
  const kept = sigmas.flatMap((_, i) => (i / sigmas.length < start || (i + 1) / sigmas.length > end ? [] : [i]));
  const [first = -1, last = -1] = [kept[0], kept.at(-1)];
  const between = (i: number): number => Math.sqrt(sigmas[i]! * sigmas[i + 1]!);
  const from = last < 0 ? Infinity : last === sigmas.length - 1 ? -Infinity : between(last);
  const to = first <= 0 ? Infinity : between(first - 1);
  return (sigma) => (sigma >= from && sigma <= to ? scale : 0);
}
