import { ortNode } from '@ediffi/backends/ort-node';
import { float32, floats, ModelError, OptionError } from '@ediffi/core';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hubServer, type HubState } from '../../testing/hub-server.js';
import { graphSource } from '../graph-source.js';
import { memoryFiles } from '../memory.js';
import { downloadBlob } from './download.js';
import { hubFiles as hubFilesInPage } from './hub.browser.js';
import { hubFiles } from './hub.js';
import { hubCache, type HubOptions } from './options.js';
import { parseRepo } from './repo.js';

const WEIGHTS = 'unet/model.onnx_data';
const weights = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 251);
const sha256 = createHash('sha256').update(weights).digest('hex');
const commit = '0123456789abcdef0123456789abcdef01234567';
const root = mkdtempSync(join(tmpdir(), 'ediffi-hub-'));
afterAll(() => rmSync(root, { recursive: true }));

/** y = x + w, float32 [4]; w lies in model.onnx_data. */
const ADDS_DATA = 'CAg6XQoOCgF4CgF3EgF5IgNBZGQSAWcqJggEEAFCAXdqGwoIbG9jYXRpb24SD21vZGVsLm9ubnhfZGF0YXABWg8KAXgSCgoICAESBAoCCARiDwoBeRIKCggIARIECgIIBEIECgAQEQ==';

let state: HubState;
let server: Awaited<ReturnType<typeof hubServer>>;
let cache: string;
let options: HubOptions;
beforeEach(async () => {
  cache = mkdtempSync(join(root, 'cache-'));
  const files = { 'model_index.json': new TextEncoder().encode('{"_class_name":"X"}'), 'unet/model.onnx': new Uint8Array(9), [WEIGHTS]: weights };
  state = { repo: 'org/name', commit, files, large: ['unet/model.onnx', WEIGHTS], cuts: [], corrupt: false, ignoreRange: false, requests: [] };
  server = await hubServer(state);
  options = { endpoint: server.endpoint, cache, offline: false };
});
afterEach(() => server.close());

const repo = (): string => join(cache, 'models--org--name');
const blobs = (): string[] => (existsSync(join(repo(), 'blobs')) ? readdirSync(join(repo(), 'blobs')) : []);
/** Requests for the large file's bytes. */
const transfers = (): string[] => state.requests.filter((r) => r.includes(`/cdn/${sha256}`) && !r.endsWith('bytes=0-0'));
/** Until the hub is asked for something more. */
const asking = async (): Promise<void> => {
  const before = state.requests.length;
  while (state.requests.length === before) await new Promise((resolve) => setImmediate(resolve));
};
const failure = (promise: Promise<unknown>): Promise<Error> => promise.then(() => expect.unreachable('it did not fail'), (error: Error) => error);

describe('hub files', () => {
  it('are listed without being fetched, fetched once, and laid out as the hub’s own libraries do', async () => {
    const files = await hubFiles('org/name', options);
    expect(await files.list()).toEqual(['model_index.json', 'unet/model.onnx', WEIGHTS]);
    expect([await files.has(WEIGHTS), await files.has('vae/model.onnx'), files.commit]).toEqual([true, false, commit]);
    expect(transfers()).toEqual([]);
    const path = await files.path(WEIGHTS);
    expect(path).toBe(join(repo(), 'snapshots', commit, WEIGHTS));
    expect(readlinkSync(path)).toBe(`../../../blobs/${sha256}`);
    expect(createHash('sha256').update(readFileSync(path)).digest('hex')).toBe(sha256);
    expect(readFileSync(join(repo(), 'refs/main'), 'utf8')).toBe(commit);
    expect(new TextDecoder().decode(await files.read('model_index.json'))).toContain('_class_name');
    expect(blobs().sort()).toEqual([sha256, createHash('sha1').update('blob 19\0{"_class_name":"X"}').digest('hex')].sort());
    await (await hubFiles(`org/name@${commit}`, options)).path(WEIGHTS);
    expect(transfers()).toHaveLength(1);
    await expect(files.read('unet/model.json')).rejects.toThrow(/unet\/model.json: not in org\/name@main — unet\/ has unet\/model.onnx, unet\/model.onnx_data/);
  });

  it('work offline from the cache alone, and say what is missing', async () => {
    await expect(hubFiles('org/name', { ...options, offline: true })).rejects.toThrow(/not in the cache .*models--org--name — open it once with a connection/);
    await (await hubFiles('org/name', options)).path(WEIGHTS);
    const asked = state.requests.length;
    for (const revision of ['main', commit]) {
      const offline = await hubFiles('org/name', { ...options, revision, offline: true });
      expect([offline.commit, await offline.list(), (await offline.read(WEIGHTS)).length]).toEqual([commit, [WEIGHTS], weights.length]);
      await expect(offline.read('model_index.json')).rejects.toThrow(ModelError);
      const seen = [];
      for await (const download of offline.download([WEIGHTS])) seen.push(download);
      expect(seen).toEqual([{ file: WEIGHTS, bytes: weights.length, total: weights.length }]);
    }
    expect(state.requests).toHaveLength(asked);
    const before = process.env['HF_HUB_OFFLINE'];
    process.env['HF_HUB_OFFLINE'] = '1';
    try {
      expect((await hubFiles('org/name', { endpoint: server.endpoint, cache })).location).toBe('org/name@main (offline)');
    } finally {
      if (before === undefined) delete process.env['HF_HUB_OFFLINE'];
      else process.env['HF_HUB_OFFLINE'] = before;
    }
  });

  it('go on where a connection broke, by themselves', async () => {
    state.cuts = [1_000_000, 500_000];
    const told: number[] = [];
    const files = await hubFiles('org/name', { ...options, progress: ({ bytes }) => told.push(bytes) });
    expect(Buffer.compare(await files.read(WEIGHTS), weights)).toBe(0);
    const starts = transfers().map((r) => Number(/bytes=(\d+)-/.exec(r)?.[1] ?? 0));
    expect(starts).toHaveLength(3);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[2]).toBeGreaterThan(starts[1]!);
    expect(told.at(-1)).toBe(weights.length);
    expect(blobs()).toEqual([sha256]);
  });

  it('go on where an earlier call gave up, and where a process died', async () => {
    state.cuts = [1_000_000];
    const error = await failure((await hubFiles('org/name', { ...options, retries: 0 })).path(WEIGHTS).then(async () => expect.unreachable('it did not fail')));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/the connection broke .* of 3000000 bytes — call again to go on from there/);
    const [left] = blobs();
    expect(left).toBe(`${sha256}.incomplete`);
    const orphan = join(repo(), 'blobs', `${sha256}.0badcafe.incomplete`);
    writeFileSync(orphan, readFileSync(join(repo(), 'blobs', left!)));
    rmSync(join(repo(), 'blobs', left!));
    utimesSync(orphan, 0, 0);
    const length = lstatSync(orphan).size;
    expect((await (await hubFiles('org/name', options)).read(WEIGHTS)).length).toBe(weights.length);
    expect(transfers().at(-1)).toContain(`bytes=${length}-`);
    expect(blobs()).toEqual([sha256]);
  });

  it('begin again where the server cannot give parts', async () => {
    state.cuts = [1_000_000];
    state.ignoreRange = true;
    expect(Buffer.compare(await (await hubFiles('org/name', options)).read(WEIGHTS), weights)).toBe(0);
  });

  it('whose bytes are not what the hub lists are never used', async () => {
    state.corrupt = true;
    const files = await hubFiles('org/name', options);
    await expect(files.path(WEIGHTS)).rejects.toThrow(/damaged: its hash is [0-9a-f]{12}…, the hub lists/);
    await expect(files.read('model_index.json')).rejects.toThrow(/damaged/);
    expect([blobs(), existsSync(join(repo(), 'snapshots'))]).toEqual([[], false]);
    state.corrupt = false;
    expect((await files.read(WEIGHTS)).length).toBe(weights.length);
  });

  it('are not taken over from what an earlier attempt left damaged', async () => {
    state.cuts = [1_000_000];
    await failure((await hubFiles('org/name', { ...options, retries: 0 })).path(WEIGHTS));
    const left = join(repo(), 'blobs', `${sha256}.incomplete`);
    const bytes = readFileSync(left);
    bytes[5]! ^= 1;
    writeFileSync(left, bytes);
    const files = await hubFiles('org/name', options);
    await expect(files.path(WEIGHTS)).rejects.toThrow(/damaged/);
    expect(blobs()).toEqual([]);
    expect((await files.read(WEIGHTS)).length).toBe(weights.length);
  });

  it('that were cut on disk are fetched again', async () => {
    const files = await hubFiles('org/name', options);
    const path = await files.path(WEIGHTS);
    truncateSync(path, 10);
    expect((await files.read(WEIGHTS)).length).toBe(weights.length);
  });

  it('are fetched once however many ask at once', async () => {
    const [a, b] = await Promise.all([hubFiles('org/name', options), hubFiles('org/name', options)]);
    const all = await Promise.all([a.read(WEIGHTS), a.read(WEIGHTS), b.read(WEIGHTS), b.path(WEIGHTS)]);
    expect(all.slice(0, 3).every((bytes) => Buffer.compare(bytes as Uint8Array, weights) === 0)).toBe(true);
    expect(transfers()).toHaveLength(1);
    expect(blobs()).toEqual([sha256]);
  });

  it('go on for others when who began is aborted, and tell them all how far they are', async () => {
    const controller = new AbortController();
    const told: number[][] = [[], [], []];
    let shared: number[] | undefined;
    const heard = (i: number) => ({ bytes }: { readonly bytes: number }): void => {
      told[i]!.push(bytes);
      if (i === 0 || bytes === 0 || controller.signal.aborted) return;
      shared = [...told[i]!];
      controller.abort(new Error('enough'));
    };
    const [first, second, third] = await Promise.all([{ signal: controller.signal, retries: 0 }, {}, {}].map((own, i) => hubFiles('org/name', { ...options, ...own, progress: heard(i) })));
    const began = expect(first!.path(WEIGHTS)).rejects.toThrow('enough');
    await asking();
    for (const bytes of await Promise.all([second!.read(WEIGHTS), third!.read(WEIGHTS)])) expect(Buffer.compare(bytes, weights)).toBe(0);
    await began;
    expect(shared).toEqual(told[0]!.slice(-shared!.length)); // of a download that it did not begin
    expect(transfers()).toHaveLength(2); // one took it up, the other waited again
    expect([told[1]!.at(-1), told[2]!.at(-1)]).toEqual([weights.length, weights.length]);
    expect(blobs()).toEqual([sha256]);
  });

  it('go on when somebody who waits for them is aborted, or cannot be told', async () => {
    const controller = new AbortController();
    const clumsy = (): never => {
      controller.abort(new Error('enough'));
      throw new Error('no pen');
    };
    const [first, ...others] = await Promise.all([{}, { signal: controller.signal }, { progress: clumsy }].map((own) => hubFiles('org/name', { ...options, ...own })));
    const began = first!.path(WEIGHTS);
    await asking();
    const [aborted, untold] = others.map((files) => failure(files.path(WEIGHTS)));
    expect([(await aborted!).message, (await untold!).message]).toEqual(['enough', 'no pen']);
    await began;
    expect(transfers()).toHaveLength(1);
  });

  it('tell how far they are', async () => {
    const files = await hubFiles('org/name', options);
    const seen: { file: string; bytes: number; total: number }[] = [];
    for await (const download of files.download()) seen.push(download);
    const of = (file: string): number[] => seen.filter((d) => d.file === file).map((d) => d.bytes);
    expect(of(WEIGHTS).length).toBeGreaterThan(2);
    for (const file of await files.list()) {
      expect(of(file).at(-1)).toBe(state.files[file]!.length);
      expect([...of(file)].sort((a, b) => a - b)).toEqual(of(file));
    }
  });

  it('stop at once when aborted, and keep what came', async () => {
    const controller = new AbortController();
    const files = await hubFiles('org/name', { ...options, signal: controller.signal, progress: ({ bytes }) => bytes > 0 && controller.abort(new Error('enough')) });
    await expect(files.path(WEIGHTS)).rejects.toThrow('enough');
    expect(blobs()).toEqual([`${sha256}.incomplete`]);
    await expect(hubFiles('org/name', { ...options, signal: controller.signal })).rejects.toThrow('enough');
  });

  it('stop in a page too', async () => {
    const controller = new AbortController();
    const files = await hubFilesInPage('org/name', { ...options, signal: controller.signal, progress: ({ bytes, total }) => bytes < total && controller.abort(new Error('enough')) });
    await expect(files.read(WEIGHTS)).rejects.toThrow('enough');
    await expect(files.read('model_index.json')).rejects.toThrow('enough');
  });

  it('give the reason of an abort, whatever it is, where nothing is tried again', async () => {
    for (const reason of [undefined, new DOMException('too slow', 'TimeoutError'), new Error('enough'), 'enough']) {
      const controller = new AbortController();
      const files = await hubFiles('org/name', { ...options, retries: 0, signal: controller.signal, progress: ({ bytes }) => bytes > 0 && controller.abort(reason) });
      const error: unknown = await failure(files.path(WEIGHTS));
      expect(error).toBe(controller.signal.reason);
      expect(blobs()).toEqual([`${sha256}.incomplete`]);
      rmSync(join(repo(), 'blobs'), { recursive: true });
    }
  });
});

describe('a graph of a hub', () => {
  it('comes with the files of its weights, and loads from the cache', async () => {
    state.files['unet/model.onnx'] = Uint8Array.from(Buffer.from(ADDS_DATA, 'base64'));
    state.files[WEIGHTS] = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
    const backend = ortNode();
    for (const open of [() => hubFiles('org/name', options), () => hubFiles('org/name', { ...options, offline: true }), async () => memoryFiles(state.files)]) {
      const session = await backend.load(await graphSource(await open(), 'unet/model.onnx'));
      expect(await floats((await session.run({ x: float32([1, 1, 1, 1], [4]) }))['y']!)).toEqual(Float32Array.of(2, 3, 4, 5));
    }
    await expect(graphSource(await hubFiles('org/name', options), 'vae/model.onnx')).rejects.toThrow(/there is no folder vae/);
    await backend.dispose();
  });
});

describe('what the hub refuses', () => {
  it.each([
    ['a revision that is not there', 'org/name@v9', /org\/name: no revision 'v9' — give a branch, tag or commit/],
    ['a commit that is not there', `org/name@${'f'.repeat(40)}`, /no revision 'f+'/],
    ['a repository that is not there', 'org/other', /org\/other: no such repository/],
  ])('%s', async (_, source, message) => {
    const error = await failure(hubFiles(source, options));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(message);
    expect(existsSync(join(cache, 'models--org--other'))).toBe(false);
  });

  it('what is no id at all, before any request', async () => {
    for (const source of ['', 'a/b/c', '../x', 'org/..', 'org/na me', 'org/name@../x', 'org/name@']) await expect(hubFiles(source, options), source).rejects.toThrow(OptionError);
    await expect(hubFiles('org/name@v1', { ...options, revision: 'v2' })).rejects.toThrow(OptionError);
    expect(state.requests).toEqual([]);
  });

  it('a path in its list that leaves the cache', async () => {
    state.files['../../evil'] = new Uint8Array(3);
    await expect(hubFiles('org/name', options)).rejects.toThrow(/no path inside a model/);
  });

  it('without ever naming a token or a signed address', async () => {
    state.token = 'hf_right';
    const wrong = await failure(hubFiles('org/name', { ...options, token: 'hf_wrong' }));
    expect(wrong.message).toMatch(/no access to .* pass token or set HF_TOKEN/);
    const files = await hubFiles('org/name', { ...options, token: 'hf_right', retries: 0 });
    state.cuts = [1000];
    const broken = await failure(files.path(WEIGHTS));
    await server.close();
    const gone = await failure(hubFiles('org/name', { ...options, token: 'hf_right', retries: 0 }));
    for (const error of [wrong, broken, gone]) {
      expect(error).toBeInstanceOf(ModelError);
      expect(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).not.toMatch(/hf_|secret-signature|127\.0\.0\.1/);
    }
    expect(gone.message).toMatch(/no connection to the hub \(ECONNREFUSED\) — try again, or use offline: true/);
    server = await hubServer(state);
  });
});

describe('a disk that is full', () => {
  it('leaves nothing half-written, whenever it fills', async () => {
    const blob = join(cache, 'blobs', sha256);
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    for (const broken of ['write', 'sync', 'open'] as const) {
      let writes = 0;
      const request = {
        file: WEIGHTS, blob, id: sha256, size: weights.length, retries: 0, progress: () => undefined,
        bytes: async () => ({ start: 0, body: (async function* () { for (let at = 0; at < weights.length; at += 65536) yield weights.subarray(at, at + 65536); })() }),
        open: async (path: string, flags: string) => {
          if (broken === 'open') throw full;
          const handle = await open(path, flags);
          const fail = async (): Promise<never> => Promise.reject(full);
          const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<{ bytesWritten: number }>;
          return new Proxy(handle, {
            get: (target, key) => {
              if (key === broken && (broken === 'sync' || writes++ > 10)) return fail;
              if (key === 'write') return write;
              const value: unknown = Reflect.get(target, key);
              return typeof value === 'function' ? value.bind(target) : value;
            },
          });
        },
      };
      const error = await failure(downloadBlob(request));
      expect(error).toBeInstanceOf(ModelError);
      expect(error.message).toMatch(/the disk is full: 3000000 bytes do not fit .* — free some space, or set HF_HUB_CACHE/);
      expect(readdirSync(join(cache, 'blobs')), broken).toEqual([]);
    }
  });
});

describe('names and places', () => {
  it('follow the variables of the hub’s libraries', () => {
    expect(hubCache({ HF_HUB_CACHE: '/a', HF_HOME: '/b' })).toBe('/a');
    expect(hubCache({ HUGGINGFACE_HUB_CACHE: '/c', HF_HOME: '/b' })).toBe('/c');
    expect(hubCache({ HF_HOME: '/b' })).toBe('/b/hub');
    expect(hubCache({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub');
    expect(hubCache({})).toMatch(/\.cache\/huggingface\/hub$/);
  });
  it('are read from ids', () => {
    expect(parseRepo('org/name@refs/pr/1', undefined)).toEqual({ repo: 'org/name', revision: 'refs/pr/1' });
    expect(parseRepo('gpt2', 'v1')).toEqual({ repo: 'gpt2', revision: 'v1' });
  });
});
