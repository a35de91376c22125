import { basename } from 'node:path';
import { parseLora, type ExpertLoras, type WeightedLora } from '../index.js';
import { numberOption, readInput, UsageError, valueFor } from './io.js';

/** LoRA files as typed. */
export interface LoraArguments {
  readonly lora?: readonly string[];
  readonly loraWeight?: readonly string[];
}

/** `--lora FILE` for all of the model, `--lora EXPERT=FILE` for one expert; a weight each, or one for all. Rejects with UsageError for what cannot be read or goes apart. */
export async function loraOption({ lora: typed = [], loraWeight: weights = [] }: LoraArguments): Promise<{ loras?: ExpertLoras }> {
  if (typed.length === 0) {
    if (weights.length > 0) throw new UsageError('--lora-weight: goes with --lora, the file');
    return {};
  }
  const read = await Promise.all(typed.map(async (text, i): Promise<{ expert?: string; loaded: WeightedLora }> => {
    const [, expert, path = text] = /^([\w-]+)=(.+)$/.exec(text) ?? [];
    const weight = valueFor(weights, i, '--lora-weight', typed.length, 'LoRAs');
    const lora = parseLora(await readInput(path, '--lora'), basename(path).replace(/\.safetensors$/, ''));
    return { ...(expert !== undefined && { expert }), loaded: { lora, ...(weight !== undefined && { weight: numberOption(weight, '--lora-weight') }) } };
  }));
  const named = read.filter(({ expert }) => expert !== undefined);
  if (named.length === 0) return { loras: read.map(({ loaded }) => loaded) };
  if (named.length < read.length) throw new UsageError('--lora: name an expert for each of them (EXPERT=FILE), or for none');
  const byExpert: Record<string, WeightedLora[]> = {};
  for (const { expert, loaded } of named) (byExpert[expert!] ??= []).push(loaded);
  return { loras: byExpert };
}
