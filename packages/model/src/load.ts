import { EdiffiError, ModelError, sha256, type ModelSource } from '@ediffi/core';
import { parseCard, type CardFile, type ModelCard } from './card.js';
import type { ModelFiles } from './files.js';
import { webFiles, type WebFilesOptions } from './web-files.js';

/** Options of loadModel. */
export interface LoadModelOptions extends WebFilesOptions {
  /** Folder that holds card.json, weights/ and tokenizers/ (Node). Default: $EDIFFI_MODEL, else the embedded model in this package. */
  readonly folder?: string | URL;
  /** How to get a file by its path in the folder ('card.json', 'weights/t5.onnx'); for browsers, tests and other stores. */
  readonly fetch?: (path: string) => Promise<Uint8Array>;
  /** URL of the folder, for pages: files are fetched when first needed, checked, and kept in the browser's Cache API. */
  readonly baseUrl?: string | URL;
  /** Compare every weight file with its SHA-256 now rather than when it is first used. Default: true for folders, false with `fetch` and `baseUrl`. */
  readonly verify?: boolean;
}

/** An opened model: its card, its graphs as sources, its tokenizers. Nothing stays open; there is nothing to dispose. */
export interface Model {
  readonly card: ModelCard;
  /** Where the files are, for messages. */
  readonly location: string;
  /** A graph of the card, checked against its hash whenever it is read. Throws ModelError for a file the card does not list. */
  source(file: string): ModelSource;
  /** Every graph that paints, encoders and experts, each once; not the judge of the evaluation set. What a server of the model serves. */
  graphs(): ModelSource[];
  /** A parsed tokenizer.json. Rejects with ModelError when it is missing or damaged. */
  tokenizer(file: string): Promise<object>;
  /** The parsed evaluation set of the card. Rejects with ModelError when there is none, or it is missing or damaged. */
  evaluation(): Promise<object>;
}

/** Opens a model; `onDisk` opens folders, where there are any. */
export async function openModel(options: LoadModelOptions, onDisk: (folder?: string | URL) => ModelFiles): Promise<Model> {
  const { fetch, baseUrl, folder } = options;
  const store = fetch ? { location: 'the given fetch', read: fetch } : baseUrl !== undefined ? webFiles(baseUrl, options) : onDisk(folder);
  const read = async (path: string, expected?: CardFile): Promise<Uint8Array> => {
    try {
      return await store.read(path, expected);
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (EdiffiError.isInstance(cause)) throw cause;
      throw new ModelError(`${path}: cannot be read from ${store.location} — the model folder needs card.json, weights/ and tokenizers/`, path, { cause });
    }
  };
  const text = async (path: string): Promise<string> => new TextDecoder().decode(await read(path));
  const card = parseCard(await text('card.json'));

  const checked = async (file: string): Promise<Uint8Array> => {
    const expected = card.files[file]!;
    const { bytes, sha256: wanted } = expected;
    const data = await read(`weights/${file}`, expected);
    if (data.length !== bytes) throw new ModelError(`${file}: ${data.length} bytes, the card says ${bytes} — the file is cut off or from another version; download it again`, file);
    const actual = await sha256(data, file);
    if (actual !== wanted) throw new ModelError(`${file}: SHA-256 is ${actual.slice(0, 12)}…, the card says ${wanted.slice(0, 12)}… — the file is damaged or from another version; download it again`, file);
    return data;
  };
  const json = async (folder: string, file: string): Promise<object> => {
    try {
      return JSON.parse(await text(`${folder}/${file}`)) as object;
    } catch (cause) {
      if (ModelError.isInstance(cause)) throw cause;
      throw new ModelError(`${file}: not JSON — the file is damaged`, file, { cause });
    }
  };
  if (options.verify ?? (!fetch && baseUrl === undefined)) for (const file of Object.keys(card.files)) await checked(file);

  const source = (file: string): ModelSource => {
    const entry = card.files[file];
    if (!entry) throw new ModelError(`${file}: not a file of ${card.name}, which has ${Object.keys(card.files).join(', ')}`, file);
    const path = store.path?.(`weights/${file}`);
    return { name: file, bytes: () => checked(file), sha256: entry.sha256, ...(path !== undefined && { path }) };
  };
  return {
    card,
    location: store.location,
    source,
    graphs: () => [...new Set([...Object.values(card.encoders), ...card.stages.flatMap(({ experts }) => experts)].map(({ file }) => file))].map(source),
    tokenizer: (file) => json('tokenizers', file),
    async evaluation() {
      if (!card.evaluation) throw new ModelError(`${card.name}: the card has no evaluation set`, 'card.json');
      return json('evaluation', card.evaluation.scenes);
    },
  };
}
