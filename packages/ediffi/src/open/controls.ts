/* The ControlNets of a model: beside a UNet that takes their residuals, or folded into it. */
import { CapabilityError, controlNetwork, controlResiduals, ModelError, type ControlNames, type LiveInputs } from '@ediffi/core';
import { graphOutline, type GraphOutline } from '@ediffi/backends/outline';
import type { SharedLoads } from '../shared-loads.js';
import { graphSource, type ModelFiles } from '../sources/index.js';
import type { ControlSlot } from '../stage.js';
import { controlName, controlNames, isResidual, residualInputs, residualShapes } from './control-names.js';
import { dimension } from './face.js';
import type { Family } from './families.js';
import { foldedControls, foldedInputs } from './folded.js';
import { lazy } from './lazy.js';
import { numberOf, readJson, type Config, type ModelIndex } from './model-index.js';
import { graphNames } from './network.js';

/** A network that may take residuals. */
export interface ControlledPart {
  readonly name: string;
  readonly family: Family;
  readonly config: Config;
  readonly outline: GraphOutline;
}

/** Where a ControlNet's files are. */
export interface ControlSource {
  readonly files: ModelFiles;
  /** '' or 'controlnet/'. */
  readonly folder: string;
  /** Its graph, as `loads` knows it. */
  readonly key: string;
}

/** How the networks of a stage take control pictures. */
export interface Controls {
  readonly slots: readonly ControlSlot[];
  /** Parameters of the ControlNets' graphs. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Those that take a fixed number of text columns: 'controlnet takes 77'. */
  readonly fixedTexts: readonly string[];
  /** One line for each network that takes them. */
  readonly lines: readonly string[];
  /** What one network is fed besides, to be disposed with it; undefined for one that takes no control. `factor`: pixels per latent pixel. */
  live(network: ControlledPart, factor: number): LiveInputs | undefined;
}

/** The ControlNet folders of a model. Throws ModelError when its index names one that is not there. */
export function ownControls(index: ModelIndex, key: (file: string) => string): ControlSource[] {
  const found: ControlSource[] = [];
  while (index.has(controlName(found.length))) found.push({ files: index.files, folder: `${controlName(found.length)}/`, key: key(`${controlName(found.length)}/model.onnx`) });
  const named = index.config['controlnet'];
  if (found.length === 0 && Array.isArray(named) && named.some((part) => part !== null)) {
    throw new ModelError(`${index.files.location}: model_index.json names a controlnet, but there is no controlnet/ — export it, or open one of its own with { controlnets: ['…'] }`, 'controlnet');
  }
  return found;
}

interface ControlPart {
  readonly name: string;
  readonly key: string;
  readonly names: ControlNames;
  readonly pools: boolean;
}

/**
 * Reads and checks the ControlNets. undefined where no network takes control and none was given. Rejects with ModelError for those that contradict
 * themselves or the network, CapabilityError for those that cannot be fed.
 */
export async function openControls(networks: readonly ControlledPart[], sources: readonly ControlSource[], loads: SharedLoads): Promise<Controls | undefined> {
  const folded = networks.find(({ outline }) => foldedInputs(outline));
  const taking = networks.filter(({ outline }) => outline.inputs.some(({ name }) => isResidual(name)));
  for (const { outline, config } of taking) residualInputs(outline, config);
  if (folded) {
    const { count, images } = foldedInputs(folded.outline)!;
    const slots = Array.from({ length: count }, (_, i) => ({ name: controlName(i), folded: true }));
    return { slots, parameters: {}, fixedTexts: [], lines: [`${folded.name}: ${count} control networks are part of the graph ('${images}')`], live: ({ outline }, factor) => foldedControls(outline, factor) };
  }
  if (taking.length === 0) return undefined;
  const parameters: Record<string, number> = {};
  const fixedTexts: string[] = [];
  const parts = await Promise.all(sources.map(async ({ files, folder, key }, i): Promise<ControlPart> => {
    const file = `${folder}model.onnx`;
    const config = await readJson(files, `${folder}config.json`);
    const outline = await graphOutline(await graphSource(files, file));
    const names = controlNames(outline, config, taking[0]!.family.plan.pooledInput);
    parameters[controlName(i)] = outline.parameters;
    const columns = dimension(outline, names.embeddings['text']!.tokens!, 1);
    if (columns !== undefined) fixedTexts.push(`${controlName(i)} takes ${columns}`);
    for (const network of taking) checkControl(outline, names, config, network, file);
    return { name: controlName(i), key, names, pools: config['global_pool_conditions'] === true };
  }));
  const lines = taking.map(({ name, outline, config }) => `${name}: takes ${residualInputs(outline, config).length} ControlNet residuals, from ${parts.map((part) => part.name).join(', ') || 'none: open the model with { controlnets: […] }'}`);
  return {
    slots: parts.map(({ name, pools }) => ({ name, ...(pools && { pools }) })),
    parameters: Object.fromEntries(parts.map(({ name }) => [name, parameters[name]!])),
    fixedTexts,
    lines,
    live({ outline, config }) {
      const inputs = residualInputs(outline, config);
      if (inputs.length === 0) return undefined;
      return controlResiduals(inputs, Object.fromEntries(parts.map(({ name, key, names }) => [name, lazy(async () => controlNetwork(await loads.session(key), names))])));
    },
  };
}

/** Refuses a ControlNet that is not one for the network. */
function checkControl(face: GraphOutline, names: ControlNames, config: Config, network: ControlledPart, file: string): void {
  const [own, theirs] = [residualShapes(config, file), residualShapes(network.config, 'config.json')];
  const list = (shapes: readonly { channels: number }[]): string => `${shapes.length} residuals of ${shapes.map(({ channels }) => channels).join(', ')} channels`;
  if (list(own) !== list(theirs)) throw new ModelError(`${file}: it gives ${list(own)}, but ${network.name} takes ${list(theirs)} (block_out_channels, layers_per_block) — take a ControlNet made for this model`, file);
  const differ = (what: string, graph: number | undefined, said: number | undefined, where: string): void => {
    if (graph !== undefined && said !== undefined && graph !== said) throw new ModelError(`${file}: ${what} is ${graph} in the graph, but ${said} by ${where} — take a ControlNet made for this model`, file);
  };
  const text = graphNames(network.outline, network.family).embeddings['text']!.tokens!;
  differ("the width of its texts", dimension(face, names.embeddings['text']!.tokens!, -1), dimension(network.outline, text, -1), `the network's '${text}'`);
  const latents = numberOf(network.config, 'out_channels', 4, 'config.json');
  differ(`the channels of '${names.sample}'`, dimension(face, names.sample, 1), latents, 'the latents');
  differ("in_channels of its config.json", numberOf(config, 'in_channels', latents, file), latents, 'the latents');
  const channels = numberOf(config, 'conditioning_channels', 3, file);
  differ(`the channels of '${names.image}'`, dimension(face, names.image, 1), channels, 'conditioning_channels of its config.json');
  if (channels !== 3) throw new CapabilityError('control', `${file}: its control picture has ${channels} channels; 3 (red, green, blue) can be given`, { channels });
}
