import { CapabilityError, ModelError, nearest } from '@ediffi/core';
import type { ModelFiles } from '../sources/index.js';

/** The content of a configuration file. */
export type Config = Readonly<Record<string, unknown>>;

/** A diffusers-style folder: which pipeline it is, and which components it has. */
export interface ModelIndex {
  /** The pipeline's class without the prefixes that exporters add: 'StableDiffusionXLPipeline'. */
  readonly pipeline: string;
  readonly config: Config;
  readonly files: ModelFiles;
  /** Whether the folder has the component (named in the index, not null there, its folder on disk). */
  has(component: string): boolean;
}

/** Reads a JSON file of a model. Rejects with ModelError when it is missing or no JSON object. */
export async function readJson(files: ModelFiles, path: string): Promise<Config> {
  const text = new TextDecoder().decode(await files.read(path)).replace(/: (-?)Infinity\b/g, ': "$1inf"'); // Python writes it bare
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ModelError(`${path} of ${files.location}: not JSON — ${cause instanceof Error ? cause.message : String(cause)}`, path, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ModelError(`${path} of ${files.location}: expected a JSON object`, path);
  return value as Config;
}

/** Reads model_index.json. Rejects with ModelError for a folder without one, CapabilityError for a pipeline that is not `known`. */
export async function readIndex(files: ModelFiles, known: readonly string[]): Promise<ModelIndex> {
  const config = await readJson(files, 'model_index.json');
  const name = config['_class_name'];
  if (typeof name !== 'string') throw new ModelError(`model_index.json of ${files.location}: it has no _class_name — is this a folder of diffusers' layout?`, 'model_index.json');
  const pipeline = name.replace(/^(ORT|Onnx|OV)/, '');
  if (!known.includes(pipeline)) {
    throw new CapabilityError('pipeline', `${files.location} is a ${name}, which cannot be opened — nearest: ${nearest(pipeline, known, 3).join(', ')}`, { pipeline: name, known });
  }
  const paths = await files.list();
  const has = (component: string): boolean => {
    const entry = config[component];
    const absent = entry === null || (Array.isArray(entry) && entry.every((part) => part === null));
    return !absent && paths.some((path) => path.startsWith(`${component}/`));
  };
  return { pipeline, config, files, has };
}

/** A number of a configuration, or the fallback where it is absent or null. Throws ModelError for something else. */
export function numberOf(config: Config, key: string, fallback: number, file: string): number {
  const value = config[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new ModelError(`${file}: ${key} is ${JSON.stringify(value)}, expected a number`, file);
  return value;
}
