/*
 * A folder of a web server. It cannot be listed: which files of diffusers' layout are there is asked one by one (HEAD), those of the components that model_index.json
 * names, the two halves of the autoencoder and further ControlNets, which it names once. A folder without an index is one component by itself: a ControlNet.
 */
import { ModelError } from '@ediffi/core';
import { webFiles } from '@ediffi/model';
import type { HubOptions } from './hub/options.js';
import { insidePath, missingFile, type ModelFiles } from './model-files.js';

/** What a component may consist of, as far as opening a model asks. */
const PARTS = ['model.onnx', 'config.json', 'scheduler_config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'vocab.json', 'merges.txt', 'spiece.model'];

const INDEX = 'model_index.json';

/** The files below a URL (relative to the page). Rejects with ModelError where there is neither model_index.json nor a graph, and for an index that is none. */
export async function urlFiles(base: string | URL, { progress, signal }: HubOptions = {}): Promise<ModelFiles> {
  const web = webFiles(base, { ...(signal && { signal }), onProgress: ({ path, loaded, total }) => progress?.({ file: path, bytes: loaded, total: total ?? loaded }) });
  const { location } = web;
  const asked = new Map<string, Promise<boolean>>();
  const has = (path: string): Promise<boolean> => {
    const known = asked.get(path) ?? fetch(new URL(insidePath(path, location), location), { method: 'HEAD', ...(signal && { signal: signal as AbortSignal }) }).then(isFile);
    asked.set(path, known);
    return known;
  };
  const index = indexIn(await web.read(INDEX).catch(absent), location);
  if (!index && !(await has('model.onnx'))) throw missingFile(INDEX, [], location);
  const components = index ? componentsIn(index) : [''];
  const candidates = components.flatMap((folder) => PARTS.map((part) => folder + part));
  const list = async (): Promise<readonly string[]> => {
    const there = await Promise.all(candidates.map(has));
    const found = [...(index ? [INDEX] : []), ...candidates.filter((_, i) => there[i])];
    for (let n = 1; components.includes('controlnet/') && (await has(`controlnet_${n}/model.onnx`)); n++) {
      for (const part of ['model.onnx', 'config.json']) if (await has(`controlnet_${n}/${part}`)) found.push(`controlnet_${n}/${part}`);
    }
    return found.sort();
  };
  const read = async (path: string): Promise<Uint8Array> => {
    signal?.throwIfAborted();
    if (path === INDEX && !index) throw missingFile(INDEX, await list(), location);
    return web.read(insidePath(path, location));
  };
  return { location, list, has, read };
}

/** Whether an answer is a file's: some servers have a page for what they have not. */
const isFile = ({ ok, headers }: Response): boolean => ok && !/^text\/html\b/i.test(headers.get('content-type') ?? '');

const absent = (cause: unknown): undefined => {
  if (!ModelError.isInstance(cause)) throw cause;
};

/** What model_index.json says; undefined where there is none, or a page in its place. Throws ModelError for what is no JSON object. */
function indexIn(bytes: Uint8Array | undefined, location: string): object | undefined {
  const text = new TextDecoder().decode(bytes);
  if (/^\s*(<|$)/.test(text)) return undefined;
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch (cause) {
    throw new ModelError(`${INDEX} of ${location}: not JSON — ${cause instanceof Error ? cause.message : String(cause)}`, INDEX, { cause });
  }
  if (typeof index !== 'object' || index === null || Array.isArray(index)) throw new ModelError(`${INDEX} of ${location}: expected a JSON object`, INDEX);
  return index;
}

/** The folders that an index names. */
function componentsIn(index: object): string[] {
  const named = Object.entries(index).flatMap(([name, entry]) => (Array.isArray(entry) ? (name === 'vae' ? [name, 'vae_encoder', 'vae_decoder'] : [name]) : []));
  return [...new Set(named)].map((name) => `${name}/`);
}
