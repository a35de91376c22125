import { ModelError } from '@ediffi/core';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { urlFiles } from './url.js';

const text = (value: string | object): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const graph = text('graph');
const multi = { _class_name: 'StableDiffusionControlNetPipeline', vae: ['diffusers', 'AutoencoderKL'], controlnet: ['diffusers', 'MultiControlNetModel'], unet: ['diffusers', 'UNet'] };
const files: Readonly<Record<string, Uint8Array>> = {
  'sd/model_index.json': text(multi),
  ...Object.fromEntries(['unet', 'vae_decoder', 'controlnet', 'controlnet_1', 'controlnet_2', 'controlnet_4'].flatMap((name) => [[`sd/${name}/model.onnx`, graph], [`sd/${name}/config.json`, text({})]])),
  'canny/model.onnx': graph,
  'canny/config.json': text({}),
  'broken/model_index.json': text('{"_class_name":'),
  'list/model_index.json': text([]),
};

/** Serves the files below /files/; below /app/ a page stands for whatever is not there, as servers of single-page applications have it. sd/unet/stalls ends half-way. */
const server = createServer((request, response) => {
  const [, below, path] = /^\/(files|app)\/(.*)$/.exec(request.url!)!;
  if (path === 'sd/unet/stalls') return void response.writeHead(200, { 'content-length': 10 }).write(graph);
  const bytes = files[path!];
  if (bytes) response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(bytes);
  else if (below === 'app') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html><title>An application</title>');
  else response.writeHead(404).end();
});
let root: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe.each(['files', 'app'])('files of a URL, below /%s', (below) => {
  it('are those that the index names, and every further ControlNet', async () => {
    const found = await urlFiles(`${root}/${below}/sd`);
    const parts = ['controlnet', 'controlnet_1', 'controlnet_2', 'unet', 'vae_decoder'].flatMap((name) => [`${name}/config.json`, `${name}/model.onnx`]);
    expect(await found.list()).toEqual([...parts, 'model_index.json'].sort());
    expect([await found.has('unet/model.onnx'), await found.has('unet/vocab.json')]).toEqual([true, false]);
    expect(await found.read('model_index.json')).toEqual(files['sd/model_index.json']);
  });

  it('may be one component by itself, without an index', async () => {
    const found = await urlFiles(new URL(`${root}/${below}/canny/`));
    expect(await found.list()).toEqual(['config.json', 'model.onnx']);
    expect(await found.read('model.onnx')).toEqual(graph);
    await expect(found.read('model_index.json')).rejects.toThrow(/model_index.json: not in http.*\/canny\/ — it has config.json, model.onnx/);
  });

  it('that are none are refused, and an index that is none', async () => {
    const refused = async (path: string): Promise<string> => urlFiles(`${root}/${below}/${path}`).then(() => 'opened', (error: unknown) => (ModelError.isInstance(error) ? error.message : String(error)));
    expect(await refused('nothing')).toMatch(/^model_index.json: not in http.*\/nothing\//);
    expect(await refused('broken')).toMatch(/^model_index.json of http.*\/broken\/: not JSON — /);
    expect(await refused('list')).toMatch(/^model_index.json of http.*\/list\/: expected a JSON object/);
  });

  it('stop coming when the signal aborts', async () => {
    const controller = new AbortController();
    const found = await urlFiles(`${root}/${below}/sd`, { signal: controller.signal, progress: ({ file }) => file === 'unet/stalls' && controller.abort(new Error('enough')) });
    await expect(found.read('unet/stalls')).rejects.toThrow('enough');
    await expect(found.read('unet/model.onnx')).rejects.toThrow('enough');
    await expect(urlFiles(`${root}/${below}/sd`, { signal: controller.signal })).rejects.toThrow('enough');
  });
});
