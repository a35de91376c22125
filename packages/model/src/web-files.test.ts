import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { webFiles } from './index.js';

const whole = new Uint8Array(1000).fill(7);
const expected = { bytes: whole.length, sha256: createHash('sha256').update(whole).digest('hex') };

/** Sends half of a file called `half`, and then nothing more; `none` is not there. */
let left = 0;
const server = createServer((request, response) => {
  response.once('close', () => response.writableFinished || left++);
  if (request.url === '/model/none') return void response.writeHead(404).end();
  response.writeHead(200, { 'content-length': whole.length });
  if (request.url === '/model/half') response.write(whole.subarray(0, 500));
  else response.end(whole);
});
let base: string;
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe('webFiles', () => {
  it('ends a download when its signal aborts, with the reason, and begins none later', async () => {
    const controller = new AbortController();
    const files = webFiles(base, { signal: controller.signal, onProgress: ({ path, loaded }) => path === 'half' && loaded === 500 && controller.abort(new Error('enough')) });
    expect(await files.read('whole', expected)).toEqual(whole);
    await expect(files.read('half', expected)).rejects.toThrow('enough');
    while (left === 0) await new Promise((resolve) => setTimeout(resolve, 1)); // the connection is given up
    await expect(files.read('other')).rejects.toThrow('enough');
    expect(await files.read('whole', expected)).toEqual(whole); // here already
  });

  it('names what is not there', async () => {
    await expect(webFiles(base).read('none')).rejects.toThrow(/none: http.*\/model\/none answers 404/);
    await expect(webFiles(base).read('whole', { ...expected, bytes: 3 })).rejects.toMatchObject({ code: 'ModelError', file: 'whole' });
  });
});
