/* A personal subject or style per expert: LoRAs given by expert name, merged into each graph as it is loaded. */
import { finiteNumber, nearest, OptionError, type ModelSource } from '@ediffi/core';
import type { LoraPart, WeightedLora } from '@ediffi/backends/lora';
import type { CardStage } from '@ediffi/model';

/** LoRAs by the name of the expert they were made for ('high', 'middle', 'low', 'sr1-high'; 'unet', 'base', 'text_encoder' of an opened model); a plain list goes into every expert of the base. */
export type ExpertLoras = readonly WeightedLora[] | Readonly<Record<string, readonly WeightedLora[]>>;

const isList = Array.isArray as (value: ExpertLoras) => value is readonly WeightedLora[];

/** LoRAs by name; a plain list is for `all` of these. Throws OptionError for a name that is not among `names`, and for weights that are no numbers. */
export function lorasByName(loras: ExpertLoras, names: readonly string[], all: readonly string[]): Readonly<Record<string, readonly WeightedLora[]>> {
  const byName = isList(loras) ? Object.fromEntries(all.map((name) => [name, loras])) : loras;
  for (const [name, list] of Object.entries(byName)) {
    if (!names.includes(name)) throw new OptionError('loras', name, `names of experts: ${names.join(', ')} — nearest: ${nearest(name, names, 1).join('')}`);
    for (const { lora, weight } of list) finiteNumber(`loras.${name}, weight of ${lora.name}`, weight ?? 1);
  }
  return byName;
}

/** The LoRAs of each graph file. Throws as `lorasByName` does. */
export function lorasByFile(stages: readonly CardStage[], loras: ExpertLoras = {}): ReadonlyMap<string, readonly WeightedLora[]> {
  const experts = stages.flatMap((stage) => stage.experts);
  const byName = lorasByName(loras, experts.map(({ name }) => name), stages[0]!.experts.map(({ name }) => name));
  return new Map(experts.flatMap(({ name, file }) => (byName[name]?.length ? [[file, byName[name]]] : [])));
}

/** What metadata says of lists and the names that have them: `lora NAME` → these names, and how much of it each has. */
export function lorasSaid(lists: Iterable<readonly [name: string, loras: readonly WeightedLora[]]>): Record<string, string> {
  const said: Record<string, string> = {};
  for (const [name, loras] of lists) {
    for (const { lora, weight = 1 } of loras) said[`lora ${lora.name}`] = [said[`lora ${lora.name}`], `${name} ${weight}`].filter(Boolean).join(', ');
  }
  return said;
}

/** The source with LoRAs merged in; what merges comes when it is first needed. */
export async function withLoras(source: ModelSource, loras: readonly WeightedLora[] | undefined, part?: LoraPart): Promise<ModelSource> {
  if (!loras) return source;
  const { withLora } = await import('@ediffi/backends/lora');
  return withLora(source, loras, part);
}
