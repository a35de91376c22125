import { ModelError } from '@ediffi/core';
import { graphOutline } from '@ediffi/backends/outline';
import type { SharedLoads } from '../shared-loads.js';
import { graphSource } from '../sources/index.js';
import type { Autoencoder, BaseStage } from '../stage.js';
import { graphAutoencoder } from './autoencoder.js';
import { lazy } from './lazy.js';
import { numberOf, readJson, type Config, type ModelIndex } from './model-index.js';
import type { Tiling } from './tiles.js';

const vaeFile = async (index: ModelIndex, part: 'encoder' | 'decoder', file: string): Promise<string> => ((await index.files.has(`vae_${part}/${file}`)) ? `vae_${part}/${file}` : `vae/${file}`);

async function vaeConfig(index: ModelIndex): Promise<Config> {
  const file = await vaeFile(index, 'decoder', 'config.json');
  if (!(await index.files.has(file))) throw new ModelError(`${index.files.location}: it has no vae_decoder/, which turns latents into pictures — export or download the whole model`, 'vae_decoder');
  return readJson(index.files, file);
}

/** Channels of the latents. */
export const latentChannels = async (index: ModelIndex, fallback: number): Promise<number> => numberOf(await vaeConfig(index), 'latent_channels', fallback, 'vae config');

/** Pixels per latent pixel and edge. */
export async function factorOf(index: ModelIndex): Promise<number> {
  const blocks = (await vaeConfig(index))['block_out_channels'];
  return Array.isArray(blocks) ? 2 ** (blocks.length - 1) : 8;
}

/** Parameters of the autoencoder's graphs. */
export async function vaeParameters({ files }: ModelIndex): Promise<Record<string, number>> {
  const parts = ['vae_encoder', 'vae_decoder'];
  const here = await Promise.all(parts.map((part) => files.has(`${part}/model.onnx`)));
  return Object.fromEntries(await Promise.all(parts.filter((_, i) => here[i]).map(async (part) => [part, (await graphOutline(await graphSource(files, `${part}/model.onnx`))).parameters] as const)));
}

/** The model's autoencoder; its graphs load when they are first needed. Rejects with ModelError when they are missing or of another model. */
export async function openAutoencoder(index: ModelIndex, base: BaseStage, loads: SharedLoads, key: (file: string) => string, tiling: Tiling | undefined): Promise<Autoencoder> {
  const config = await vaeConfig(index);
  const { channels, factor } = base.latents!;
  const decoderFile = 'vae_decoder/model.onnx';
  const face = await graphOutline(await graphSource(index.files, decoderFile));
  const taken = face.inputs[0]?.shape[1];
  if (typeof taken === 'number' && taken > 0 && taken !== channels) throw new ModelError(`${decoderFile}: it takes ${taken} channels, but the latents have ${channels} by its config.json — the files are of different models`, decoderFile);
  const decoder = lazy(() => loads.session(key(decoderFile)));
  const encoder = (await index.files.has('vae_encoder/model.onnx')) ? lazy(() => loads.session(key('vae_encoder/model.onnx'))) : undefined;
  return graphAutoencoder({
    decoder: decoder.value,
    ...(encoder && { encoder: encoder.value }),
    channels,
    factor,
    scale: numberOf(config, 'scaling_factor', 1, 'vae config'),
    shift: numberOf(config, 'shift_factor', 0, 'vae config'),
    ...(tiling && { tiling }),
    dispose: async () => void (await Promise.all([decoder.dispose(), encoder?.dispose()])),
  });
}
