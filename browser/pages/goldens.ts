/* Runs in the page: the embedded model's graphs against what PyTorch answers on the same weights. */
import type { Backend } from '@ediffi/core';
import { ortWebGpu } from '@ediffi/backends/ort-webgpu';
import { gap, unpackAll, type Golden } from '../../packages/ediffi/src/testing/golden.js';

let backend: Backend | undefined;

Object.assign(globalThis, {
  /** The gap of a graph, and painted where the golden file has that. */
  async gaps(name: string): Promise<{ plain: number; painted?: number }> {
    backend ??= ortWebGpu({ runtime: 'ort/ort.webgpu.bundle.min.mjs', wasm: 'ort/ort-wasm-simd-threaded.asyncify.wasm' });
    const golden = (await (await fetch(`model/golden/${name}.json`)).json()) as Golden;
    const source = { name: golden.graph, bytes: async () => new Uint8Array(await (await fetch(`model/weights/${golden.graph}`)).arrayBuffer()) };
    const session = await backend.load(source);
    const plain = await gap(await session.run(unpackAll(golden.inputs)), golden.outputs);
    await session.dispose();
    if (!golden.painted) return { plain };
    const painting = await backend.load(source, { instrument: { regions: true, maps: true } });
    const { inputs, outputs } = golden.painted.max;
    const painted = await gap(await painting.run(unpackAll({ ...golden.inputs, ...inputs })), outputs);
    await painting.dispose();
    return { plain, painted };
  },
});
