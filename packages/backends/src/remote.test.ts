import { BackendError, CapabilityError, float32, floats, hostTensor, int64, ModelError, randn, type Backend, type ModelSource } from '@ediffi/core';
import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { describeBackend } from './conformance.js';
import { row } from './conformance/checks.js';
import { affine, attention, boxFilter, convolution, halves, lookup, pixelShuffle, slow } from './conformance/fixtures.js';
import { concat, field } from './graph/wire.js';
import { modelBytes, node, valueInfo } from './graph/write.js';
import { ortNode } from './ort-node.js';
import { modelName, remote, type RemoteOptions } from './remote.js';
import { HEADER_LENGTH, packed, packedJson, unpacked } from './remote/wire.js';
import { serve, type Server, type ServeOptions } from './serve.js';

const FIXTURES = [affine(), attention(), boxFilter(), halves(), lookup(), pixelShuffle(), slow(), ...[3, 4, 6, 9, 13, 51].map(convolution)];
let inner: Backend;
const servers: Server[] = [];
const start = async (graphs: Iterable<ModelSource> = FIXTURES, options: ServeOptions = {}): Promise<Server> => {
  const server = await serve(inner, graphs, { port: 0, ...options });
  servers.push(server);
  return server;
};
beforeAll(() => void (inner = ortNode()));
afterAll(async () => {
  for (const server of servers) await server.close();
  await inner.dispose();
});

describeBackend('remote, graphs that the server has', async () => remote((await start()).url), { describe, it });
describeBackend('remote, graphs that are sent', async () => remote((await start([], { uploads: true })).url, { uploads: true }), { describe, it });

/** A server of the protocol that is not ours: one graph y = 2x + 1; what it is asked is kept. */
async function foreign(answer: (request: IncomingMessage, body: Buffer, calls: number) => { status?: number; json?: object; body?: Uint8Array; header?: number }): Promise<{ url: string; requests: string[]; http: HttpServer }> {
  const requests: string[] = [];
  const http = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      requests.push(`${request.method} ${request.url}`);
      const { status = 200, json, body, header } = answer(request, Buffer.concat(parts), requests.length);
      response.writeHead(status, header === undefined ? {} : { [HEADER_LENGTH]: String(header) }).end(body ?? JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, requests, http };
}
const METADATA = { name: 'affine', versions: ['1'], platform: 'onnx', inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 4] }], outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 4] }] };
const SHORT = '{"outputs":[{"name":"y","datatype":"FP32","shape":[1,4],"parameters":{"binary_data_size":16}}]}';
const doubled = (body: Buffer, header?: number): { y: ReturnType<typeof float32> } => {
  const { x } = unpacked(body, header, 'inputs').tensors;
  return { y: float32(Float32Array.from(x!.data as Float32Array, (v) => 2 * v + 1), x!.shape) };
};
const load = (url: string, options: RemoteOptions = {}, source: ModelSource = affine()): ReturnType<Backend['load']> => remote(url, { retries: 0, ...options }).load(source);

describe('remote', () => {
  it('names graphs as people would', () => {
    expect(['unet/model.onnx', 'base-high.onnx', 'text/two.onnx', 'model.onnx'].map((name) => modelName({ name }))).toEqual(['unet', 'base-high', 'text-two', 'model']);
  });

  it('gives the same bits as the backend behind it, in binary and in JSON', async () => {
    const { url } = await start();
    const x = randn([3, 2, 4, 4], 1);
    const t5 = randn([3, 3, 2], 2);
    const here = await floats((await (await inner.load(attention())).run({ sample: x, t5 }))['output']!);
    const there = await floats((await (await load(url, {}, attention())).run({ sample: x, t5 }))['output']!);
    const { body } = packedJson({ id: 'a' }, 'inputs', { sample: x, t5 });
    const answer = await fetch(`${url}/v2/models/attention/versions/1/infer`, { method: 'POST', body });
    const json = (await answer.json()) as { id: string; model_name: string; outputs: { data: number[] }[] };
    expect(there).toEqual(here);
    expect([json.id, json.model_name, answer.headers.get(HEADER_LENGTH)]).toEqual(['a', 'attention', null]);
    expect(Float32Array.from(json.outputs[0]!.data)).toEqual(here);
  });

  it('keeps every type over the wire, and in JSON what JSON can hold', () => {
    const tensors = { f: float32([0.1, -0, 3e38], [3]), h: hostTensor(Uint16Array.of(0x3c00), [1], 'float16'), i: hostTensor(Int32Array.of(-7, 8), [2, 1], 'int32'), l: int64([2 ** 52, -1], [1, 2]), u: hostTensor(Uint8Array.of(255), [1], 'uint8'), b: hostTensor(Uint8Array.of(1, 0), [2], 'bool'), none: float32([], [0, 4]) };
    const there = packed({ id: '1' }, 'outputs', tensors);
    const back = unpacked(there.body, there.header, 'outputs');
    expect(back.head['id']).toBe('1');
    const { h, ...plain } = tensors;
    for (const [found, sent] of [[back.tensors, tensors], [unpacked(packedJson({}, 'outputs', plain).body, undefined, 'outputs').tensors, plain]] as const) {
      expect(Object.keys(found)).toEqual(Object.keys(sent));
      for (const [name, { dtype, shape, data }] of Object.entries(sent)) expect([found[name]!.dtype, found[name]!.shape, found[name]!.data]).toEqual([dtype, shape, name === 'f' && found !== back.tensors ? Float32Array.of(0.1, 0, 3e38) : data]);
    }
    expect(() => packedJson({}, 'inputs', { h })).toThrow(CapabilityError);
    expect(() => packedJson({}, 'inputs', { l: hostTensor(BigInt64Array.of(2n ** 60n), [1], 'int64') })).toThrow(CapabilityError);
    expect(() => packedJson({}, 'inputs', { f: float32([Number.NaN], [1]) })).toThrow(/NaN/);
  });

  it('speaks JSON to a server that refuses binary, and asks it only once', async () => {
    const { url, requests, http } = await foreign((request, body) => {
      if (request.method === 'GET') return { json: METADATA };
      return request.headers[HEADER_LENGTH] === undefined ? { json: { outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 4], data: [...doubled(body).y.data] }] } } : { status: 400, json: { error: 'Unrecognized request format' } };
    });
    const session = await load(url);
    for (let i = 0; i < 2; i++) expect([...(await floats((await session.run({ x: row([1, 2, 3, 4]) }))['y']!))]).toEqual([3, 5, 7, 9]);
    expect(requests).toEqual(['GET /v2/models/affine', ...Array<string>(3).fill('POST /v2/models/affine/infer')]);
    http.close();
  });

  it('takes nested JSON data, and binary answers from others', async () => {
    for (const binary of [false, true]) {
      const { url, http } = await foreign((request, body) => {
        if (request.method === 'GET') return { json: METADATA };
        const { y } = doubled(body, Number(request.headers[HEADER_LENGTH]));
        return binary ? packed({}, 'outputs', { y }) : { json: { outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 4], data: [[...y.data]] }] } };
      });
      expect([...(await floats((await (await load(url)).run({ x: row([1, 2, 3, 4]) }))['y']!))]).toEqual([3, 5, 7, 9]);
      http.close();
    }
  });

  it('tries again when the server is too busy, and says so when it stays so', async () => {
    const { url, requests, http } = await foreign((request, body, calls) => (request.method === 'GET' ? { json: METADATA } : calls < 3 ? { status: 503, json: { error: 'busy' } } : packed({}, 'outputs', doubled(body, Number(request.headers[HEADER_LENGTH])))));
    expect([...(await floats((await (await load(url, { retries: 1 })).run({ x: row([0, 0, 0, 0]) }))['y']!))]).toEqual([1, 1, 1, 1]);
    expect(requests.length).toBe(3);
    http.close();
    const busy = await foreign((request) => (request.method === 'GET' ? { json: METADATA } : { status: 503, json: { error: 'busy' } }));
    await expect((await load(busy.url)).run({ x: row([0, 0, 0, 0]) })).rejects.toThrow(/answered 503: busy/);
    busy.http.close();
  });

  it.each([
    ['an answer without the output', { json: { outputs: [] } }, /lacks y/],
    ['numbers that are too few', { json: { outputs: [{ name: 'y', datatype: 'FP32', shape: [1, 4], data: [1] }] } }, /\[1, 4\] with 1 numbers/],
    ['a page of a proxy', { body: new TextEncoder().encode('<html>') }, /not JSON/],
    ['bytes that are too few', { body: new TextEncoder().encode(`${SHORT}1234`), header: SHORT.length }, /16 bytes, 4 left/],
    ['an error as FastAPI words it', { status: 422, json: { detail: 'no such thing' } }, /answered 422: no such thing/],
  ])('says what is wrong with %s', async (_, answer, message) => {
    const { url, http } = await foreign((request) => (request.method === 'GET' ? { json: METADATA } : answer));
    const running = (await load(url)).run({ x: row([1, 2, 3, 4]) });
    await expect(running).rejects.toThrow(message);
    await expect(running).rejects.toSatisfy(BackendError.isInstance);
    http.close();
  });

  it('refuses what it would do wrongly: no server, no such graph, another version, an edited graph', async () => {
    const { url } = await start([affine()]);
    await expect(load('http://127.0.0.1:9')).rejects.toThrow(/no answer/);
    for (const none of ['localhost', 'gpu-box:8000', '/v2']) expect(() => remote(none)).toThrow(/server: expected a URL such as/);
    await expect(load(url, {}, lookup())).rejects.toThrow(/has no model 'lookup' — it has affine/);
    await expect(load(url, {}, { ...affine(), sha256: 'f'.repeat(64) })).rejects.toSatisfy(ModelError.isInstance);
    await expect(load(url, {}, { ...affine(), edited: 'LoRA robot' })).rejects.toThrow(/edited \(LoRA robot\)/);
    await expect(load(url, { uploads: true })).rejects.toThrow(/takes no graphs/);
    const { url: other, http } = await foreign(() => ({ json: { hello: 1 } }));
    await expect(load(other)).rejects.toThrow(/no metadata of a model/);
    http.close();
  });

  it('sends graphs that lie in a folder, unless their weights lie beside them', async () => {
    const { url } = await start([], { uploads: true });
    const session = await load(url, { uploads: true }, { ...affine(), folder: '/somewhere', externalData: [] });
    expect([...(await floats((await session.run({ x: row([1, 2, 3, 4]) }))['y']!))]).toEqual([3, 5, 7, 9]);
    const outside = concat([field(1, 4), field(2, 1), field(8, 'w'), field(13, concat([field(1, 'location'), field(2, 'w.data')])), field(14, 1)]);
    const bytes = modelBytes({ nodes: [node('Add', ['x', 'w'], 'y')], initializers: [field(5, outside)], inputs: [valueInfo('x', ['batch', 4])], outputs: [valueInfo('y', ['batch', 4])] });
    await expect(load(url, { uploads: true }, { name: 'unet/model.onnx', bytes: async () => bytes })).rejects.toThrow(/unet\/model.onnx: .* \(w\.data\) cannot be sent/);
  });

  it('takes it as sent when somebody else has sent the same graph meanwhile', async () => {
    const { url, requests, http } = await foreign((request, _, calls) => (request.method === 'POST' ? { status: 409, json: { error: 'there already' } } : calls === 1 ? { status: 404, json: { error: 'no model' } } : { json: METADATA }));
    expect((await load(url, { uploads: true })).inputs.map(({ name }) => name)).toEqual(['x']);
    expect(requests.map((line) => line.replace(/-\w{16}/, ''))).toEqual(['GET /v2/models/affine', 'POST /v2/repository/models/affine/load', 'GET /v2/models/affine']);
    http.close();
  });

  it('regions on a server that adds none: refused, unless its graph already has them', async () => {
    const { instrument } = await import('./graph/index.js');
    const plain = await attention().bytes();
    const changed = instrument(plain, { regions: true }, 'attention');
    const wire = (inputs: readonly string[]): object => ({ ...METADATA, inputs: inputs.map((name) => ({ name, datatype: 'FP32', shape: name === 't5' ? [-1, 3, 2] : [-1, -1, -1, -1] })), outputs: [{ name: 'output', datatype: 'FP32', shape: [-1, 2, -1, -1] }] });
    for (const inputs of [['sample', 't5'], ['sample', 't5', 'regions_s1', 'regions_strength']]) {
      const { url, http } = await foreign(() => ({ json: wire(inputs) }));
      const loading = remote(url).load(attention(), { instrument: { regions: true } });
      if (inputs.length === 2) await expect(loading).rejects.toThrow(/no input regions_strength, regions_s1/);
      else expect((await loading).sites).toEqual(changed.sites);
      http.close();
    }
  });
});

describe('serve', () => {
  it('is a server of the protocol: health, metadata, index, readiness', async () => {
    const { url, models } = await start([affine(), lookup()]);
    const json = async (path: string, init?: RequestInit): Promise<unknown> => (await fetch(url + path, init)).json();
    expect(models).toEqual(['affine', 'lookup']);
    expect(await json('/v2')).toMatchObject({ name: 'ediffi', extensions: ['binary_tensor_data', 'model_repository'] });
    for (const path of ['/v2/health/live', '/v2/health/ready', '/v2/models/affine/ready']) expect((await fetch(url + path)).status).toBe(200);
    expect(await json('/v2/models/affine/versions/1')).toMatchObject({ name: 'affine', inputs: METADATA.inputs, outputs: METADATA.outputs });
    expect(await json('/v2/repository/index', { method: 'POST' })).toEqual([{ name: 'affine', version: '1', state: 'READY' }, { name: 'lookup', version: '1', state: 'UNAVAILABLE' }]);
  });

  it.each([
    ['GET', '/v2/models/nothing', undefined, 404, /no model 'nothing' — there are affine/],
    ['GET', '/v3', undefined, 404, /no such thing/],
    ['POST', '/v2/models/affine/infer', 'not json', 400, /not JSON/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"FP64","shape":[1,4],"data":[1,2,3,4]}]}', 400, /FP64/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}', 400, /expected \[batch, 4\], got \[1, 3\]/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}],"outputs":[{"name":"z"}]}', 400, /no output z/],
    ['POST', '/v2/models/affine/infer', 'null', 400, /no list of inputs/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[null]}', 400, /tensor null/],
    ['POST', '/v2/models/affine/infer', '{"inputs":["x"]}', 400, /tensor "x"/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,null,4]}]}', 400, /'x' FP32 holds null/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,1],"data":[1.5]}]}', 400, /'x' INT64 holds 1.5/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":"1234"}]}', 400, /'x' FP32 \[1, 4\] with no numbers/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"parameters":null,"data":[1,2,3,4]}],"outputs":[null]}', 400, /outputs/],
    ['POST', '/v2/models/affine/infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}],"outputs":"y"}', 400, /outputs/],
    ['POST', '/v2/models/affine/infer', 'x'.repeat(2000), 413, /larger than 1024/],
    ['POST', '/v2/repository/models/other/load', '{}', 403, /takes no graphs/],
    ['GET', '/v2/models/%E0', undefined, 400, /malformed/],
  ] as const)('answers %s %s in kind', async (method, path, body, status, message) => {
    const { url } = await start([affine()], { maxBytes: 1024 });
    const answer = await fetch(url + path, { method, ...(body !== undefined && { body }) });
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([status, expect.stringMatching(message)]);
  });

  it('lets in who knows the token, and pages of the origins given', async () => {
    const { url } = await start([affine()], { token: 'secret', origins: ['https://example.org'] });
    await expect(load(url)).rejects.toThrow(/401.*Bearer/);
    await expect(load(url, { headers: { authorization: 'Bearer wrong' } })).rejects.toThrow(/401/);
    expect((await load(url, { headers: async () => ({ authorization: 'Bearer secret' }) })).inputs.length).toBe(1);
    const allowed = async (origin: string): Promise<string | null> => (await fetch(`${url}/v2`, { method: 'OPTIONS', headers: { origin } })).headers.get('access-control-allow-origin');
    expect([await allowed('https://example.org'), await allowed('https://evil.example')]).toEqual(['https://example.org', null]);
  });

  it('keeps nothing of a graph that it cannot open, and refuses names twice and ports that are taken', async () => {
    const { url } = await start([affine()], { uploads: true });
    const put = async (name: string, bytes: string): Promise<number> => (await fetch(`${url}/v2/repository/models/${name}/load`, { method: 'POST', body: JSON.stringify({ parameters: { 'file:1/model.onnx': bytes } }) })).status;
    expect([await put('broken', 'AAAA'), await put('affine', 'AAAA')]).toEqual([400, 409]);
    for (const body of ['null', '3', '{"parameters":null}', 'not json']) expect((await fetch(`${url}/v2/repository/models/broken/load`, { method: 'POST', body })).status, body).toBe(400);
    expect((await fetch(`${url}/v2/models/broken`)).status).toBe(404);
    await expect(serve(inner, [affine(), affine()])).rejects.toThrow(/two of the name affine/);
    await expect(serve(inner, [], { port: Number(new URL(url).port) })).rejects.toThrow(/cannot listen/);
  });

  it('keeps the last variants of a graph, frees the one unused longest, and none that runs', async () => {
    const told: string[] = [];
    let gate: Promise<void> | undefined;
    const telling: Backend = {
      ...inner,
      load: async (source, options) => {
        const way = options?.instrument ? 'with regions' : 'plain';
        told.push(`load ${way}`);
        const session = await inner.load(source, options);
        return { ...session, run: async (...call) => (told.push('run'), await gate, session.run(...call)), dispose: () => (told.push(`free ${way}`), session.dispose()) };
      },
    };
    const server = await serve(telling, [attention()], { port: 0, variants: 1 });
    servers.push(server);
    const metadata = async (query: string): Promise<void> => void (await (await fetch(`${server.url}/v2/models/attention${query}`)).json());
    for (const query of ['', '?regions=max', '?regions=max', '']) await metadata(query);
    expect(told).toEqual(['load plain', 'load with regions', 'free plain', 'load plain', 'free with regions']);
    told.length = 0;
    let open: () => void = () => undefined;
    gate = new Promise((resolve) => (open = resolve));
    const running = (await load(server.url, {}, attention())).run({ sample: randn([1, 2, 4, 4], 1), t5: randn([1, 3, 2], 2) });
    await vi.waitFor(() => expect(told).toEqual(['run']));
    await metadata('?regions=max');
    expect(told).toEqual(['run', 'load with regions', 'free with regions']); // not plain, which is at work
    open();
    expect((await running)['output']!.shape).toEqual([1, 2, 4, 4]);
    await expect(serve(inner, [], { port: 0, variants: 0 })).rejects.toThrow(/variants/);
  });

  it('ends the calls that run when it is closed', async () => {
    const server = await serve(inner, [slow()], { port: 0 });
    const session = await load(server.url, {}, slow());
    const running = session.run({ x: randn([4096, 512], 1) });
    running.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await server.close();
    await expect(running).rejects.toThrow(/no answer/);
  });
});
