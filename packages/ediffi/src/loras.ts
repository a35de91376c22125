/* A personal subject or style per expert: LoRAs given by expert name, merged into each graph as it is loaded. */
import { finiteNumber, nearest, OptionError, type ModelSource } from '@ediffi/core';
import type { WeightedLora } from '@ediffi/backends/lora';
import type { CardStage } from '@ediffi/model';

/** LoRAs by the name of the expert they were made for ('high', 'middle', 'low', 'sr1-high'); a plain list goes into every expert of the base. */
export type ExpertLoras = readonly WeightedLora[] | Readonly<Record<string, readonly WeightedLora[]>>;

/** The LoRAs of each graph file. Throws OptionError for a name that no expert has, and for weights that are no numbers. */
export function lorasByFile(stages: readonly CardStage[], loras: ExpertLoras = {}): ReadonlyMap<string, readonly WeightedLora[]> {
  const experts = stages.flatMap((stage) => stage.experts);
  const names = experts.map(({ name }) => name);
  const isList = Array.isArray as (value: ExpertLoras) => value is readonly WeightedLora[];
  const byName = isList(loras) ? Object.fromEntries(stages[0]!.experts.map(({ name }) => [name, loras])) : loras;
  for (const [name, list] of Object.entries(byName)) {
    if (!names.includes(name)) throw new OptionError('loras', name, `names of experts: ${names.join(', ')} — nearest: ${nearest(name, names, 1).join('')}`);
    for (const { lora, weight } of list) finiteNumber(`loras.${name}, weight of ${lora.name}`, weight ?? 1);
  }
  return new Map(experts.flatMap(({ name, file }) => (byName[name]?.length ? [[file, byName[name]]] : [])));
}

/** What metadata says of them: `lora NAME` → the experts that have it, and how much of it. */
export function lorasSaid(stages: readonly CardStage[], byFile: ReadonlyMap<string, readonly WeightedLora[]>): Record<string, string> {
  const said: Record<string, string> = {};
  for (const { name, file } of stages.flatMap((stage) => stage.experts)) {
    for (const { lora, weight = 1 } of byFile.get(file) ?? []) said[`lora ${lora.name}`] = [said[`lora ${lora.name}`], `${name} ${weight}`].filter(Boolean).join(', ');
  }
  return said;
}

/** The source with LoRAs merged in; what merges comes when it is first needed. */
export async function withLoras(source: ModelSource, loras: readonly WeightedLora[] | undefined): Promise<ModelSource> {
  if (!loras) return source;
  const { withLora } = await import('@ediffi/backends/lora');
  return withLora(source, loras);
}
