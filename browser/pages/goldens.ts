/* Runs in the page: the embedded model's graphs against what PyTorch answers on the same weights. */
import { floats, hostTensor, type Backend, type Tensor } from '@ediffi/core';
import { ortWebGpu } from '@ediffi/backends/ort-webgpu';

interface Packed {
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly base64: string;
}
type All = Readonly<Record<string, Packed>>;
interface Golden {
  readonly graph: string;
  readonly inputs: All;
  readonly outputs: All;
  readonly painted?: Readonly<Record<'max' | 'std', { readonly inputs: All; readonly outputs: All }>>;
}

function unpack({ dtype, shape, base64 }: Packed): Tensor {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer;
  return dtype === 'float32' ? hostTensor(new Float32Array(bytes), shape, dtype) : hostTensor(new BigInt64Array(bytes), shape, dtype);
}
const unpackAll = (packed: All): Record<string, Tensor> => Object.fromEntries(Object.entries(packed).map(([name, value]) => [name, unpack(value)]));

/** Largest difference of any output, relative to that output's largest value. */
async function gap(actual: Record<string, Tensor>, wanted: All): Promise<number> {
  let worst = 0;
  for (const [name, packed] of Object.entries(wanted)) {
    const [w, a] = [await floats(unpack(packed)), await floats(actual[name]!)];
    const scale = w.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    worst = Math.max(worst, w.reduce((most, v, i) => Math.max(most, Math.abs(v - a[i]!)), 0) / scale);
  }
  return worst;
}

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
