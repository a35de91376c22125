/*
 * A folder of a web server. It cannot be listed: which files of diffusers' layout are there is asked one by one (HEAD), those of the
 * components that model_index.json names, and the two halves of the autoencoder, which it names once.
 */
import { ModelError } from '@ediffi/core';
import { webFiles } from '@ediffi/model';
import type { HubOptions } from './hub/options.js';
import { insidePath, missingFile, type ModelFiles } from './model-files.js';

/** What a component may consist of, as far as opening a model asks. */
const PARTS = ['model.onnx', 'config.json', 'scheduler_config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'vocab.json', 'merges.txt', 'spiece.model'];

/** The files below a URL (relative to the page). Rejects with ModelError where there is no model_index.json. */
export async function urlFiles(base: string | URL, { progress, signal }: HubOptions = {}): Promise<ModelFiles> {
  const web = webFiles(base, { onProgress: ({ path, loaded, total }) => progress?.({ file: path, bytes: loaded, total: total ?? loaded }) });
  const { location } = web;
  const asked = new Map<string, Promise<boolean>>();
  const has = (path: string): Promise<boolean> => {
    const known = asked.get(path) ?? fetch(new URL(insidePath(path, location), location), { method: 'HEAD', ...(signal && { signal: signal as AbortSignal }) }).then(({ ok }) => ok);
    asked.set(path, known);
    return known;
  };
  const read = async (path: string): Promise<Uint8Array> => {
    signal?.throwIfAborted();
    return web.read(insidePath(path, location));
  };
  const index: unknown = JSON.parse(new TextDecoder().decode(await read('model_index.json').catch((cause: unknown) => {
    throw ModelError.isInstance(cause) ? missingFile('model_index.json', [], location) : cause;
  })));
  const components = Object.entries(index as object).flatMap(([name, entry]) => (Array.isArray(entry) ? (name === 'vae' ? [name, 'vae_encoder', 'vae_decoder'] : [name]) : []));
  const candidates = [...new Set(components)].flatMap((component) => PARTS.map((part) => `${component}/${part}`));
  const list = async (): Promise<readonly string[]> => {
    const there = await Promise.all(candidates.map(has));
    return ['model_index.json', ...candidates.filter((_, i) => there[i])].sort();
  };
  return { location, list, has, read };
}
