import { decodePng } from 'ediffi';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { main } from './main.js';

let served: Awaited<ReturnType<typeof main>>;
let url = '';
beforeAll(async () => {
  served = await main(0);
  url = `http://127.0.0.1:${(served.server.address() as AddressInfo).port}/paint`;
});
afterAll(() => served.close());

const events = (text: string): { event: string; data: Record<string, string> }[] =>
  text.trim().split('\n\n').map((block) => ({ event: /^event: (.*)/.exec(block)![1]!, data: JSON.parse(/^data: (.*)$/m.exec(block)![1]!) as Record<string, string> }));

it('streams every step, then the picture', async () => {
  const found = events(await (await fetch(`${url}?prompt=a+cat&steps=2`)).text());
  expect(found.map(({ event }) => event)).toEqual([...Array<string>(found.length - 1).fill('step'), 'picture']);
  const png = new Uint8Array(Buffer.from(found.at(-1)!.data['png']!.split(',')[1]!, 'base64'));
  expect(decodePng(png)).toMatchObject({ width: 256, height: 256 });
});

it('says what is wrong with a wish', async () => {
  const [failure] = events(await (await fetch(`${url}?prompt=a+cat&steps=0`)).text());
  expect(failure).toMatchObject({ event: 'failure', data: { message: expect.stringMatching(/steps/) } });
});

it('stops the work of a client that left, and serves the next', async () => {
  const leave = new AbortController();
  const response = await fetch(`${url}?prompt=a+cat&steps=400`, { signal: leave.signal });
  await response.body!.getReader().read(); // it has begun
  leave.abort();
  const start = performance.now();
  expect(events(await (await fetch(`${url}?prompt=a+dog&steps=1`)).text()).at(-1)!.event).toBe('picture');
  expect(performance.now() - start).toBeLessThan(30_000); // 400 steps would take minutes
});
