import { float32, floats, randn, type ModelSource } from '@ediffi/core';
import { describe, expect, it } from 'vitest';
import { float32s, modelBytes, node, valueInfo } from './graph/write.js';
import { ortNode } from './ort-node.js';

/** Forty 700×700 products in a row: a few hundred milliseconds inside ONNX Runtime. */
function slow(): ModelSource {
  const n = 700;
  const nodes = Array.from({ length: 40 }, (_, i) => node('MatMul', [i ? `h${i}` : 'x', 'w'], i === 39 ? 'y' : `h${i + 1}`));
  const bytes = modelBytes({ nodes, initializers: [float32s('w', [n, n], Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0)))], inputs: [valueInfo('x', ['m', n])], outputs: [valueInfo('y', ['m', n])] });
  return { name: 'slow', bytes: async () => bytes };
}

describe('ort-node', () => {
  it('keeps the main thread free while it works', async () => {
    const backend = ortNode();
    const session = await backend.load(slow());
    const x = randn([700, 700], 1);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 20);
    const start = performance.now();
    const y = await floats((await session.run({ x }))['y']!);
    const elapsed = performance.now() - start;
    clearInterval(timer);
    expect(Math.abs(y[5]! - x.data[5]!)).toBeLessThan(1e-5);
    expect(ticks).toBeGreaterThan(elapsed / 20 / 3); // a blocked thread would give 0 or 1
    await backend.dispose();
  });

  it('answers an abort while the runtime is still working, then works again', async () => {
    const backend = ortNode();
    const session = await backend.load(slow());
    const controller = new AbortController();
    const running = session.run({ x: randn([700, 700], 1) }, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('stop')), 15);
    const start = performance.now();
    await expect(running).rejects.toThrow('stop');
    const answered = performance.now() - start;
    const y = await session.run({ x: float32(new Float32Array(700).fill(2), [1, 700]) });
    const drained = performance.now() - start;
    expect((await floats(y['y']!))[0]).toBe(2);
    expect(answered).toBeLessThan(drained);
    await backend.dispose();
  });

  it('loads one session while another runs', async () => {
    const backend = ortNode();
    const first = await backend.load(slow());
    const order: string[] = [];
    await Promise.all([first.run({ x: randn([2800, 700], 1) }).then(() => order.push('run')), backend.load(slow()).then(() => order.push('load'))]);
    expect(order.sort()).toEqual(['load', 'run']);
    await backend.dispose();
  });

  it('rejects open calls when its session is disposed', async () => {
    const backend = ortNode();
    const session = await backend.load(slow());
    const running = expect(session.run({ x: randn([700, 700], 1) })).rejects.toThrow(/disposed|ended/);
    await session.dispose();
    await running;
    await backend.dispose();
  });
});
