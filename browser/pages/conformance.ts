/* Runs in the page: the conformance cases of one backend, by name. */
import { backendCases } from '@ediffi/backends/conformance';
import { float32 } from '@ediffi/core';
import { affine } from '../../packages/backends/src/conformance/fixtures.js';
import { ortWeb } from '@ediffi/backends/ort-web';
import { ortWebGpu } from '@ediffi/backends/ort-webgpu';

const files = (module: string, wasm: string) => ({ runtime: `ort/${module}`, wasm: `ort/${wasm}` });

const wasm = files('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm');
const webgpu = files('ort.webgpu.bundle.min.mjs', 'ort-wasm-simd-threaded.asyncify.wasm');

const suites = {
  wasm: backendCases(() => ortWeb({ ...wasm, threads: 2 })),
  webgpu: backendCases(() => ortWebGpu(webgpu), { tolerance: 1e-3, blocking: 'one call at a time' }),
  'webgpu, tensors on the host': backendCases(() => ortWebGpu({ ...webgpu, tensors: 'host' }), { tolerance: 1e-3, blocking: 'one call at a time' }),
};

const outcome = (work: Promise<unknown>): Promise<string> => work.then(() => 'fulfilled', String);
const spare = { wasm: ortWeb(wasm), webgpu: ortWebGpu(webgpu), 'webgpu, tensors on the host': ortWebGpu({ ...webgpu, tensors: 'host' }) };

Object.assign(globalThis, {
  /** A session that stays: browsers keep compiled WebAssembly only while it is in use. */
  warm: async (suite: keyof typeof suites): Promise<string> => (await spare[suite].load(affine())).name,
  device: () => ortWeb({ ...wasm, threads: 2 }).device.id,
  /** What a call that is open and a call after it say when the device dies. */
  lose: async (): Promise<string[]> => {
    const session = await ortWebGpu({ ...webgpu, runtime: 'mortal.mjs' }).load(affine());
    const run = () => session.run({ x: float32([1, 2, 3, 4], [1, 4]) });
    await run();
    await run();
    return [await outcome(run()), await outcome(run())];
  },
  missing: () => outcome(ortWeb({ runtime: 'nowhere.mjs' }).load(affine())),
  /** The error of a case, or nothing. */
  runCase: async (suite: keyof typeof suites, name: string): Promise<string | undefined> => {
    try {
      await suites[suite].find((known) => known.name === name)!.run();
      return undefined;
    } catch (error) {
      return error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error);
    }
  },
});
