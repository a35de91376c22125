/*
 * ControlNets (Zhang et al. 2023, arXiv 2302.05543): a copy of the encoder reads the noised picture, the time, the text and a control picture; what it
 * answers is added to what the network's own encoder gives each block of the decoder. Several networks' answers are summed, each times its scale:
 *
 *   r_i = Σ_k s_k·g_i·c_k,i(x, t, text, picture_k),   g_i = 1, or 10^(−1 + i/(n − 1)) when graded (i = 0 … n − 1, the middle block last)
 */
import type { Session } from '../backend/session.js';
import type { Conditioning, Control } from '../conditioning/conditioning.js';
import { repeatRows } from '../conditioning/join.js';
import { keptConditioning, keptRows, spreadRows } from '../conditioning/rows.js';
import { CapabilityError, ModelError, ShapeError } from '../errors/errors.js';
import { cast } from '../tensor/cast.js';
import { float32, zeros } from '../tensor/host.js';
import { lincomb } from '../tensor/lincomb.js';
import { shapeText, type Shape, type Tensor } from '../tensor/tensor.js';
import type { CallOptions } from './denoiser.js';
import type { LiveInputs } from './session-denoiser.js';
import { callFeeds, fitted, type FeedOptions, type GraphNames } from './session-feeds.js';

/** Which input and output of a ControlNet's graph takes and gives what. */
export interface ControlNames extends Omit<GraphNames, 'output'> {
  /** The control picture `[B, C, H, W]` in 0…1. */
  readonly image: string;
  /** Its own factor, where it is an input; fed 1. */
  readonly scale?: string;
  /** Outputs in the order of the blocks, the middle one last. */
  readonly residuals: readonly string[];
}

/** A loaded ControlNet: its residuals for x `[B, C, h, w]`, one tensor `[B, C_i, h/s_i, w/s_i]` per block, the middle one last. */
export interface ControlNetwork {
  answer(x: Tensor, noise: number, condition: Conditioning, image: Tensor, call?: CallOptions): Promise<readonly Tensor[]>;
  dispose(): Promise<void>;
}

/** A graph as a ControlNet; takes over the session. Throws ModelError when the graph lacks what `names` promises. */
export function controlNetwork(session: Session, names: ControlNames, options: FeedOptions = {}): ControlNetwork {
  const feedsOf = callFeeds(session, { ...names, output: '' }, options);
  const absent = names.residuals.filter((name) => !session.outputs.some((output) => output.name === name));
  if (absent.length) throw new ModelError(`${session.name}: the graph has no output ${absent.join(', ')}`, session.name);
  const own = new WeakMap<Conditioning, Conditioning>();
  /** The conditioning without what is for the main network alone. */
  const stripped = (condition: Conditioning): Conditioning => {
    const { channels: _c, regions: _r, controls: _k, ...rest } = condition;
    const made = own.get(condition) ?? rest;
    own.set(condition, made);
    return made;
  };
  const scale = session.inputs.find((input) => input.name === names.scale);
  return {
    async answer(x, noise, condition, image, call) {
      const feeds = await feedsOf(x, noise, stripped(condition));
      feeds[names.image] = await fitted(session, names.image, await repeatRows(image, x.shape[0] ?? 1));
      if (scale) feeds[scale.name] = await fitted(session, scale.name, float32([1], scale.shape.map(() => 1)));
      const outputs = await session.run(feeds, call?.signal ? { signal: call.signal } : {});
      return Promise.all(names.residuals.map(async (name) => cast(outputs[name]!, 'float32')));
    },
    dispose: () => session.dispose(),
  };
}

/** An input of the main network that takes a residual `[B, channels, h/stride, w/stride]`. */
export interface ResidualInput {
  readonly name: string;
  readonly channels: number;
  readonly stride: number;
}

/**
 * The residual inputs of a network, from the ControlNets that its conditioning's `controls` name (each loads when it is first needed); zeros without any.
 * Rejects with CapabilityError for a control that names none of them, ShapeError for residuals of another network.
 */
export function controlResiduals(inputs: readonly ResidualInput[], networks: Readonly<Record<string, { value(): Promise<ControlNetwork>; dispose(): Promise<void> }>>): LiveInputs {
  const none = new Map<string, readonly Tensor[]>();
  const nothing = ([batch = 1, , height = 1, width = 1]: Shape): readonly Tensor[] => {
    const id = [batch, height, width].join();
    const made = none.get(id) ?? inputs.map(({ channels, stride }) => zeros([batch, channels, Math.ceil(height / stride), Math.ceil(width / stride)]));
    none.set(id, made);
    return made;
  };
  const halves = new WeakMap<Conditioning, WeakMap<Control, Promise<Conditioning>>>();
  /** The network sees the rows that the control is for; the others' residuals are zero. */
  const answered = async (network: ControlNetwork, x: Tensor, noise: number, condition: Conditioning, control: Control, call?: CallOptions): Promise<readonly Tensor[]> => {
    const { rows, image } = control;
    if (!rows?.includes(false)) return network.answer(x, noise, condition, image, call);
    const own = halves.get(condition) ?? new WeakMap<Control, Promise<Conditioning>>(); // one control may steer several prompts
    halves.set(condition, own);
    const kept = own.get(control) ?? keptConditioning(condition, rows);
    own.set(control, kept);
    const answer = await network.answer(await keptRows(x, rows), noise, await kept, await keptRows(image, rows), call);
    return Promise.all(answer.map(async (tensor) => {
      const whole = await spreadRows(tensor, rows, x.shape[0] ?? 1);
      tensor.dispose();
      return whole;
    }));
  };
  return {
    async residuals(x, noise, sigma, condition, call) {
      const terms: (readonly (readonly [factor: number, residual: Tensor])[])[] = [];
      for (const control of condition.controls ?? []) {
        const network = networks[control.network];
        if (!network) throw new CapabilityError('control', `there is no control network '${control.network}' — there is ${Object.keys(networks).join(', ') || 'none'}`);
        const scale = control.scale(sigma);
        if (scale === 0 || control.rows?.every((applies) => !applies)) continue;
        const answer = await answered(await network.value(), x, noise, condition, control, call);
        checkResiduals(answer, inputs, x.shape, control.network);
        const last = Math.max(1, answer.length - 1);
        terms.push(answer.map((residual, i) => [scale * (control.graded ? 10 ** (-1 + i / last) : 1), residual] as const));
      }
      const sums = terms.length > 0 ? await Promise.all(inputs.map((_, i) => summed(terms.map((answer) => answer[i]!)))) : nothing(x.shape);
      return Object.fromEntries(inputs.map(({ name }, i) => [name, sums[i]!]));
    },
    dispose: async () => void (await Promise.all(Object.values(networks).map((network) => network.dispose()))),
  };
}

function checkResiduals(answer: readonly Tensor[], inputs: readonly ResidualInput[], [batch = 1, , height = 1, width = 1]: Shape, network: string): void {
  inputs.forEach(({ name, channels, stride }, i) => {
    const wanted = [batch, channels, Math.ceil(height / stride), Math.ceil(width / stride)];
    const given = answer[i]?.shape ?? [];
    if (given.join() !== wanted.join()) throw new ShapeError(`${network}, residual for '${name}'`, shapeText(wanted), shapeText(given), 'take a ControlNet that was made for this model');
  });
}

/** Σ factor·residual, the residuals released. */
async function summed(terms: readonly (readonly [factor: number, residual: Tensor])[]): Promise<Tensor> {
  const [first] = terms;
  if (terms.length === 1 && first![0] === 1) return first![1];
  const sum = await lincomb(...terms.map(([factor, residual]): [number, Tensor] => [factor, residual]));
  for (const [, residual] of terms) residual.dispose();
  return sum;
}
