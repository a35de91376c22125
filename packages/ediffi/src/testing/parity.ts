import { memoryFiles, type ModelFiles } from '../sources/index.js';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.env['EDIFFI_PARITY'] ?? fileURLToPath(new URL('../../parity/', import.meta.url));

/** A stored tensor: float32, integers as numbers. */
export interface Stored {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What diffusers painted: see parity/README.md. */
export interface Case {
  readonly case: string;
  readonly family: string;
  readonly pipeline: string;
  readonly seed: number;
  readonly scheduler: Readonly<Record<string, unknown>>;
  readonly timesteps: readonly number[];
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly refiner?: string;
  readonly cut?: number;
  readonly loop?: string;
  readonly component?: string;
  readonly regions?: readonly { readonly phrase: string; readonly weight: number; readonly mask: string }[];
  readonly strength?: number;
  readonly imageScale?: number;
  readonly tensors: Readonly<Record<string, Stored>>;
}

/** Names of the cases that are stored. */
export const caseNames: readonly string[] = readdirSync(join(root, 'expected')).filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -5)).sort();

/** A case with its tensors. */
export function readCase(name: string): Case {
  const text = readFileSync(join(root, 'expected', `${name}.json`), 'utf8').replace(/: (-?)Infinity/g, ': "$1inf"'); // Python's JSON
  const facts = JSON.parse(text) as Case;
  return { ...facts, tensors: safetensors(new Uint8Array(readFileSync(join(root, 'expected', `${name}.safetensors`)))) };
}

function safetensors(file: Uint8Array): Record<string, Stored> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const size = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + size))) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const read = (dtype: string, [from, to]: [number, number]): Float32Array => {
    const bytes = file.slice(8 + size + from, 8 + size + to);
    if (dtype === 'F32') return new Float32Array(bytes.buffer);
    if (dtype === 'I64') return Float32Array.from(new BigInt64Array(bytes.buffer), Number);
    if (dtype === 'U8') return Float32Array.from(bytes);
    throw new Error(`safetensors: ${dtype}`);
  };
  return Object.fromEntries(Object.entries(header).filter(([name]) => name !== '__metadata__').map(([name, { dtype, shape, data_offsets: at }]) => [name, { shape, data: read(dtype, at) }]));
}

/** A fixture as a hub has it: its own files and those its links lead to, in memory. `changes` replaces or (undefined) removes files. */
export function fixture(family: string, changes: Readonly<Record<string, Uint8Array | undefined>> = {}): ModelFiles {
  const folder = join(root, 'fixtures', family);
  const links = existsSync(join(folder, 'links.json')) ? (JSON.parse(readFileSync(join(folder, 'links.json'), 'utf8')) as Record<string, string>) : {};
  const own = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1)).filter((file) => file !== 'links.json');
  const files = new Map([...own.map((file) => [file, join(folder, file)] as const), ...Object.entries(links).map(([to, from]) => [to, join(root, from)] as const)]);
  const bytes = Object.fromEntries([...files].map(([to, from]) => [to, new Uint8Array(readFileSync(from))]));
  const kept = Object.entries({ ...bytes, ...changes }).filter((entry): entry is [string, Uint8Array] => entry[1] !== undefined);
  return memoryFiles(Object.fromEntries(kept), dirname(join(folder, 'x')));
}

/** A fixture written to a folder of its own, as a user would have it. */
export async function fixtureFolder(family: string, folder: string): Promise<string> {
  const files = fixture(family);
  for (const path of await files.list()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), await files.read(path));
  }
  return folder;
}
