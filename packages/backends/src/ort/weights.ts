/* Weights beside a graph: every file is looked at before the runtime is asked, and named so that the runtime finds it. */
import { ModelError } from '@ediffi/core';
import { realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { checkExtent, externalTensors, type ExternalTensor } from '../graph/external.js';
import { concat, field, fields, opening, text } from '../graph/wire.js';

/** A graph whose weights are named relative to `folder`. */
export interface Placed {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly folder: string;
}

/** Tensors that lie in the graph's own file. */
interface Own {
  readonly path: string;
  readonly tensors: ReadonlySet<string>;
}

/**
 * Checks that all weights of a graph in `folder` are there, whole, and inside the folder (or its hub cache: a snapshot's files are links
 * to blobs), and names them by where they really are: the runtime follows no links. Rejects with ModelError.
 */
export async function placed(bytes: Uint8Array<ArrayBuffer>, folder: string, name: string, own?: Own): Promise<Placed> {
  const tensors = externalTensors(bytes, name);
  const allowed = await roots(folder);
  const files = new Map<string, { readonly real: string; readonly size: number }>();
  const fileOf = async (tensor: ExternalTensor): Promise<{ readonly real: string; readonly size: number }> => {
    const path = own?.tensors.has(tensor.name) ? own.path : join(folder, tensor.location);
    const known = files.get(path);
    if (known) return known;
    const real = await realpath(path).catch(() => undefined);
    const found = real === undefined ? undefined : await stat(real);
    if (real === undefined || !found?.isFile()) throw new ModelError(`${name}: its weights '${tensor.location}' are missing in ${folder} — copy or download them beside the graph`, tensor.location);
    if (path !== own?.path && !allowed.some((root) => real.startsWith(root + sep))) {
      throw new ModelError(`${name}: its weights '${tensor.location}' are a link out of the model's folder — put the file itself there`, tensor.location);
    }
    files.set(path, { real, size: found.size });
    return files.get(path)!;
  };
  const reals = new Map<string, string>();
  for (const tensor of tensors) {
    const { real, size } = await fileOf(tensor);
    checkExtent(tensor, size, name);
    reals.set(tensor.name, real);
  }
  const base = [...new Set(reals.values())].map(dirname).reduce<string | undefined>((a, b) => (a === undefined ? b : common(a, b)), undefined) ?? folder;
  const names = new Map([...reals].map(([tensor, real]) => [tensor, relative(base, real).split(sep).join('/')]));
  const moved = tensors.some((tensor) => names.get(tensor.name) !== tensor.location);
  return { bytes: moved ? renamed(bytes, names) : bytes, folder: base };
}

/** Folders that weights may really be in. */
async function roots(folder: string): Promise<string[]> {
  const real = await realpath(folder);
  const [, repo] = /^(.*[\\/]models--[^\\/]+)[\\/]snapshots[\\/][0-9a-f]{40}([\\/]|$)/.exec(real) ?? [];
  return repo === undefined ? [real] : [real, join(repo, 'blobs')];
}

function common(a: string, b: string): string {
  while (a !== b && !b.startsWith(a.endsWith(sep) ? a : a + sep)) a = dirname(a);
  return a;
}

/** The model with the files of its external tensors renamed. */
function renamed(bytes: Uint8Array, names: ReadonlyMap<string, string>): Uint8Array<ArrayBuffer> {
  const parts = [...fields(bytes)].flatMap((f) => {
    if (f.number !== 7) return [f.raw];
    const graph = [...fields(f.value)].map((g) => (g.number === 5 ? field(5, relocated(g.value, names)) : g.raw));
    return [opening(7, graph.reduce((sum, part) => sum + part.length, 0)), ...graph];
  });
  return concat(parts);
}

function relocated(tensor: Uint8Array, names: ReadonlyMap<string, string>): Uint8Array {
  const parts = [...fields(tensor)];
  const name = names.get(text(parts.find((f) => f.number === 8)?.value ?? new Uint8Array()));
  if (name === undefined) return tensor;
  return concat(parts.map((f) => {
    const key = f.number === 13 ? [...fields(f.value)].find((e) => e.number === 1) : undefined;
    return key && text(key.value) === 'location' ? field(13, concat([field(1, 'location'), field(2, name)])) : f.raw;
  }));
}
