/*
 * A graph on disk, read without its weights: what a tensor holds inside the file is written down as lying outside it (in that same
 * file, from byte so-and-so on), so that the runtime reads it from disk and gigabytes never pass through JavaScript.
 */
import { ModelError } from '@ediffi/core';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { externalFiles } from '../graph/external.js';
import { openModel } from '../graph/onnx.js';
import { concat, field, opening, readVarint, text } from '../graph/wire.js';
import { placed, type Placed } from './weights.js';

/** Contents up to here stay in the graph: shapes and scalars that the analysis reads. */
const SMALL = 16 * 1024;
const WINDOW = 1 << 20;
/** Stands for the graph's own file: no file has this name. */
const SELF = '.';

/** Reads the graph at `path`; weights stay on disk. Rejects with ModelError when it is missing or cut off, or its weights are. */
export async function readGraphFile(path: string, folder: string, name: string): Promise<Placed> {
  const real = await realpath(path).catch((cause: unknown) => {
    throw new ModelError(`${name}: ${path} doesn't exist or cannot be read — check the path, or download it again`, name, { cause });
  });
  const file = await open(real);
  try {
    const { bytes, within } = await outline(new Windows(file, (await file.stat()).size, name), basename(real));
    openModel(bytes, name);
    return await placed(bytes, folder, name, { path: real, tensors: within });
  } finally {
    await file.close();
  }
}

/** The files beside the graph at `path` that its weights lie in, as it names them. Rejects with ModelError for what is no whole ONNX file. */
export async function weightFiles(path: string, name: string = path): Promise<readonly string[]> {
  const file = await open(path);
  try {
    const { bytes } = await outline(new Windows(file, (await file.stat()).size, name), SELF);
    return externalFiles(bytes, name).filter((location) => location !== SELF);
  } finally {
    await file.close();
  }
}

/** The model with large contents of its initializers named as `[offset, offset + length)` of `self`; their names are `within`. */
async function outline(file: Windows, self: string): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly within: ReadonlySet<string> }> {
  const within = new Set<string>();
  const parts: Uint8Array[] = [];
  if (text(await file.bytes(4, 8)) === 'ORTM') openModel(await file.bytes(0, 8), file.name); // throws: another format
  for await (const f of walk(file, 0, file.size)) {
    if (f.number !== 7 || f.type !== 2) {
      parts.push(await file.bytes(f.start, f.end));
      continue;
    }
    const graph: Uint8Array[] = [];
    for await (const g of walk(file, f.value, f.end)) {
      if (g.number === 5 && g.end - g.value > SMALL) graph.push(field(5, await tensorOutline(file, g, self, within)));
      else graph.push(await file.bytes(g.start, g.end));
    }
    parts.push(opening(7, graph.reduce((sum, part) => sum + part.length, 0)), ...graph);
  }
  return { bytes: concat(parts), within };
}

async function tensorOutline(file: Windows, { value, end }: Span, self: string, within: Set<string>): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  let raw: Span | undefined;
  let name = '';
  for await (const t of walk(file, value, end)) {
    if (t.number === 9 && t.end - t.value > SMALL) raw = t;
    else kept.push(await file.bytes(t.start, t.end));
    if (t.number === 8) name = text(await file.bytes(t.value, t.end));
  }
  if (!raw) return concat(kept);
  within.add(name);
  const entries = { location: self, offset: String(raw.value), length: String(raw.end - raw.value) };
  return concat([...kept, ...Object.entries(entries).map(([key, text]) => field(13, concat([field(1, key), field(2, text)]))), field(14, 1)]);
}

interface Span {
  readonly number: number;
  readonly type: number;
  readonly start: number;
  readonly value: number;
  readonly end: number;
}

/** Fields of the message in [from, to): like wire.ts's `fields`, by position. */
async function* walk(file: Windows, from: number, to: number): AsyncGenerator<Span> {
  for (let at = from; at < to; ) {
    const head = await file.bytes(at, Math.min(to, at + 20));
    let used = 0;
    const fail = (): never => {
      throw new ModelError(`${file.name}: the bytes end or break at offset ${at} of ${file.size} — the file is truncated or no ONNX model`, file.name);
    };
    const varint = (): number => {
      const start = used;
      while (used < head.length && head[used]! >= 0x80) used++;
      return ++used > head.length || used - start > 10 ? fail() : readVarint(head, start);
    };
    const tag = varint();
    const [number, type] = [tag >>> 3, tag & 7];
    if (number === 0 || ![0, 1, 2, 5].includes(type)) fail();
    const length = type === 2 ? varint() : type === 1 ? 8 : type === 5 ? 4 : (varint(), 0);
    const value = at + used;
    if (length < 0 || value + length > to) fail();
    yield { number, type, start: at, value, end: (at = value + length) };
  }
}

/** Reads a file in pieces of a mebibyte, so that thousands of small fields are not as many system calls. */
class Windows {
  #start = 0;
  #window = new Uint8Array(0);

  constructor(
    readonly file: FileHandle,
    readonly size: number,
    readonly name: string,
  ) {}

  async bytes(from: number, to: number): Promise<Uint8Array> {
    if (from < this.#start || to > this.#start + this.#window.length) {
      const window = new Uint8Array(Math.max(to - from, Math.min(WINDOW, this.size - from)));
      let at = 0;
      for (let read = 1; read && at < window.length; at += read) read = (await this.file.read(window, at, window.length - at, from + at)).bytesRead;
      [this.#start, this.#window] = [from, window.subarray(0, at)];
    }
    return this.#window.subarray(from - this.#start, to - this.#start);
  }
}
