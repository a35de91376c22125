import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { remote } from '@ediffi/backends/remote';
import { loadEdiffi, Pipeline } from '../index.js';
import { numberOption, UsageError, type Io } from './io.js';
import { loraOption, type LoraArguments } from './loras.js';

/** Which model, and how it is opened, as typed. */
export interface ModelArguments extends LoraArguments {
  readonly model?: string;
  readonly refiner?: string;
  readonly cut?: string;
  readonly controlnet?: readonly string[];
  readonly resident?: string;
  readonly threads?: string;
  readonly offline?: boolean;
  readonly weights?: boolean;
  readonly clipSkip?: string;
  readonly server?: string;
}

/** The embedded model, or a folder like it: one with a card.json. */
export const isOwnModel = async (model: string | undefined): Promise<boolean> => model === undefined || ((await stat(join(model, 'card.json')).catch(() => undefined))?.isFile() ?? false);

/** The backend that `--server` names; $EDIFFI_TOKEN is its token. */
function serverOf(url: string, { env }: Io): ReturnType<typeof remote> {
  const token = env['EDIFFI_TOKEN'];
  return remote(url, token ? { headers: { authorization: `Bearer ${token}` } } : {});
}

/** The embedded model, another folder like it (with a card.json), or a model of diffusers' layout: a folder or a hub id. */
export async function modelOf(typed: ModelArguments, io: Io): Promise<Pipeline> {
  const { model, refiner } = typed;
  const common = {
    ...(typed.threads !== undefined && { threads: numberOption(typed.threads, '--threads') }),
    ...(typed.resident !== undefined && { resident: numberOption(typed.resident, '--resident') }),
    ...(typed.server !== undefined && { backend: serverOf(typed.server, io) }),
    ...(io.signal && { signal: io.signal }),
    ...(await loraOption(typed)),
  };
  if (model !== undefined && !(await isOwnModel(model))) return Pipeline.open(model, { ...common, ...(refiner !== undefined && { refiner }), ...(typed.cut !== undefined && { cut: numberOption(typed.cut, '--cut') }), ...(typed.controlnet && { controlnets: typed.controlnet }), ...(typed.offline && { offline: true }), ...(typed.weights && { prompts: { weights: true } }), ...(typed.clipSkip !== undefined && { clipSkip: numberOption(typed.clipSkip, '--clip-skip') }) });
  for (const [name, value] of Object.entries({ refiner, cut: typed.cut, weights: typed.weights, 'clip-skip': typed.clipSkip, controlnet: typed.controlnet })) if (value !== undefined) throw new UsageError(`--${name}: only with a --model of diffusers' layout`);
  return loadEdiffi({ ...common, ...(model !== undefined && { folder: model }), ...(typed.server !== undefined && { verify: false }) }); // a server's graphs are compared by their hashes
}
