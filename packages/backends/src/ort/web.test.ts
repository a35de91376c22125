import { BackendError, DisposedError, float32, type HostTensor } from '@ediffi/core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { affine } from '../conformance/fixtures.js';
import { ortWebGpu } from '../ort-webgpu.js';

/** A Web Worker that agrees to everything, or refuses everything, until it dies. */
class Obliging {
  static made: Obliging[] = [];
  static refusing = false;
  onmessage?: (event: { readonly data: unknown }) => void;
  onerror?: (event: { readonly message: string; preventDefault(): void }) => void;
  ended = false;
  #dead = false;

  constructor() {
    Obliging.made.push(this);
  }

  postMessage({ action }: { readonly action: string }): void {
    if (!this.#dead) queueMicrotask(() => this.onmessage?.({ data: Obliging.refusing ? { error: 'no adapter' } : { result: action === 'create' ? { inputs: [], outputs: [] } : {} } }));
  }

  terminate(): void {
    this.ended = true;
  }

  die(): void {
    this.#dead = true;
    this.onerror?.({ message: 'out of memory', preventDefault: () => undefined });
  }

  lose(): void {
    this.#dead = true;
    this.onmessage?.({ data: { lost: 'the WebGPU device was lost' } });
  }
}

describe('the one worker of all sessions', () => {
  beforeEach(() => {
    [Obliging.made, Obliging.refusing] = [[], false];
    vi.stubGlobal('Worker', Obliging);
  });
  afterEach(() => void vi.unstubAllGlobals());

  it.each(['die', 'lose'] as const)('that is gone (%s) fails what was open, and is replaced when a model is loaded again', async (how) => {
    const backend = ortWebGpu({ runtime: 'http://localhost/ort.mjs' });
    const session = await backend.load(affine());
    const kept = await backend.device.fromHost(float32([1], [1]) as HostTensor);
    const [first] = Obliging.made;
    first![how]();
    await expect(session.run({})).rejects.toThrow(how === 'die' ? /the web worker died: out of memory — load the model again/ : /device was lost/);
    await expect(kept.toHost()).rejects.toThrow(BackendError);
    kept.dispose();
    expect(Obliging.made.length).toBe(1); // a tensor that went with it starts no other

    const again = await Promise.all([backend.load(affine()), backend.load(affine())]);
    expect(Obliging.made.length).toBe(2);
    expect(first!.ended).toBe(true);
    for (const { run } of again) expect(await run({})).toEqual({});
    await expect(session.run({})).rejects.toThrow(BackendError);
    await backend.dispose();
    expect(Obliging.made.map(({ ended }) => ended)).toEqual([true, true]);
    await expect(backend.load(affine())).rejects.toThrow(DisposedError);
    await expect(backend.device.fromHost(float32([1], [1]) as HostTensor)).rejects.toThrow(DisposedError);
    expect(Obliging.made.length).toBe(2);
  });

  it('that does not start fails all loads that wait for it, once, and is started again by the next', async () => {
    const backend = ortWebGpu({ runtime: 'http://localhost/ort.mjs' });
    Obliging.refusing = true;
    for (const { status } of await Promise.allSettled([1, 2, 3].map(() => backend.load(affine())))) expect(status).toBe('rejected');
    expect(Obliging.made.length).toBe(1);
    Obliging.refusing = false;
    await backend.load(affine());
    expect(Obliging.made.length).toBe(2);
    await backend.dispose();
  });
});
