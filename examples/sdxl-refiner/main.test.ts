import { decodePng, readPngText } from 'ediffi';
import { expect, it, vi } from 'vitest';
import { fixture } from '../../packages/ediffi/src/testing/parity.js';
import { main } from './main.js';

it('paints with base and refiner in one loop, on models of reduced width', async () => {
  const logged = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const { png, experts } = await main(fixture('sdxl'), fixture('sdxl-refiner'), 'a red fox in the snow', { steps: 5, width: 64, height: 64 });
  expect(experts).toEqual(['base', 'refiner']);
  expect(logged.mock.calls[0]).toEqual(['base', 'base: 4 steps, refiner: 1 steps']);
  expect(logged.mock.calls).toHaveLength(6);
  expect([decodePng(png).width, decodePng(png).height]).toEqual([64, 64]);
  expect(readPngText(png)).toMatchObject({ prompt: 'a red fox in the snow', seed: '7' });
});
