/* LoRAs of an opened model: which list goes into which of its graphs. A file may hold layers for several parts; each graph takes its own. */
import { CapabilityError, type ModelSource } from '@ediffi/core';
import type { LoraPart, WeightedLora } from '@ediffi/backends/lora';
import { lorasByName, lorasSaid, withLoras, type ExpertLoras } from '../loras.js';
import { key } from './graph-key.js';
import type { ModelIndex } from './model-index.js';
import type { TextGraph } from './open-texts.js';

/** A graph that LoRAs can change. */
export interface LoraTarget {
  /** The expert's name, or the text encoder's folder. */
  readonly name: string;
  /** What its graph is loaded by. */
  readonly key: string;
  readonly part: LoraPart;
  /** Of the model itself: a plain list goes there. A refiner was trained apart, and has other layers. */
  readonly own: boolean;
}

/** The graphs that LoRAs can change, by the names that options have for them. */
export function loraTargets(networks: readonly { readonly name: string; readonly index: ModelIndex; readonly file: string }[], texts: readonly TextGraph[], index: ModelIndex): LoraTarget[] {
  const isPart = (folder: string): folder is 'text_encoder' | 'text_encoder_2' | 'text_encoder_3' => ['text_encoder', 'text_encoder_2', 'text_encoder_3'].includes(folder);
  return [
    ...networks.map((network) => ({ name: network.name, key: key(network.index === index ? 'model' : 'refiner', network.file), part: 'denoiser' as const, own: network.index === index })),
    ...texts.flatMap(({ folder, model, file }) => (isPart(folder) ? [{ name: folder, key: key(model, file), part: folder, own: true }] : [])),
  ];
}

/** Changed graphs by their keys, and what metadata says of them. */
export interface MergedGraphs {
  readonly sources: ReadonlyMap<string, ModelSource>;
  readonly said: Readonly<Record<string, string>>;
}

/** Merges LoRAs into the graphs they were made for. Rejects with OptionError for unknown names, CapabilityError for layers that no graph has. */
export async function mergedGraphs(loras: ExpertLoras | undefined, targets: readonly LoraTarget[], sourceOf: (key: string) => Promise<ModelSource>): Promise<MergedGraphs> {
  if (loras === undefined) return { sources: new Map(), said: {} };
  const own = targets.filter((target) => target.own);
  const byName = lorasByName(loras, targets.map(({ name }) => name), own.map(({ name }) => name));
  if (Array.isArray(loras)) refuseHomeless(loras as readonly WeightedLora[], own);
  else for (const target of targets) refuseIdle(byName[target.name] ?? [], target);
  const merged = targets.flatMap((target) => {
    const list = (byName[target.name] ?? []).filter(({ lora }) => has(lora, target.part));
    return list.length > 0 ? [{ ...target, list }] : [];
  });
  const sources = await Promise.all(merged.map(async ({ key, part, list }) => [key, await withLoras(await sourceOf(key), list, part)] as const));
  return { sources: new Map(sources), said: lorasSaid(merged.map(({ name, list }) => [name, list] as const)) };
}

const has = ({ layers }: WeightedLora['lora'], part: LoraPart): boolean => layers.some((layer) => layer.part === part);

/** A list is for the whole model: what changes a part that the model has not would be lost. */
function refuseHomeless(loras: readonly WeightedLora[], own: readonly LoraTarget[]): void {
  for (const { lora } of loras) {
    const homeless = [...new Set(lora.layers.map(({ part }) => part))].filter((part) => !own.some((target) => target.part === part));
    if (homeless.length > 0) throw new CapabilityError('lora', `${lora.name} changes ${homeless.join(' and ')}, which the model has not (it has ${own.map(({ name }) => name).join(', ')}) — is it for another model? Give { loras: { ${own[0]?.name ?? 'unet'}: […] } } to use a part of it`, { code: 'PART', homeless });
  }
}

/** A name is for one graph: a LoRA without layers for it would do nothing. */
function refuseIdle(loras: readonly WeightedLora[], { name, part }: LoraTarget): void {
  const idle = loras.find(({ lora }) => !has(lora, part));
  if (idle) throw new CapabilityError('lora', `${idle.lora.name} has no layer for '${name}', but for ${[...new Set(idle.lora.layers.map((layer) => layer.part))].join(', ')} — leave it out there`, { code: 'PART', name });
}
