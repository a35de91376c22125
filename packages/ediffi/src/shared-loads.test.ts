import { cpu, zeros, type Backend, type Session, type Tensor, type ValueInfo } from '@ediffi/core';
import { describe, expect, it } from 'vitest';
import { SharedLoads } from './shared-loads.js';

const info: ValueInfo = { name: 'x', dtype: 'float32', shape: [1] };

/** A session as libraries write them: a class, whose members are not its own properties. */
class Graph implements Session {
  readonly #disposed: string[];
  constructor(disposed: string[]) {
    this.#disposed = disposed;
  }
  get name(): string {
    return 'graph';
  }
  get inputs(): readonly ValueInfo[] {
    return [info];
  }
  get outputs(): readonly ValueInfo[] {
    return [info];
  }
  get device(): typeof cpu {
    return cpu;
  }
  get sites(): NonNullable<Session['sites']> {
    return { columns: [], strides: [] };
  }
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    return Promise.resolve({ x: feeds['x']!, disposed: zeros([this.#disposed.length]) });
  }
  dispose(): Promise<void> {
    return Promise.resolve(void this.#disposed.push('graph'));
  }
}

describe('SharedLoads', () => {
  it('shares a graph whose session is a class, and releases it with its last user', async () => {
    const disposed: string[] = [];
    let loads = 0;
    const backend: Backend = { name: 'classes', device: cpu, load: () => (loads++, Promise.resolve(new Graph(disposed))), dispose: () => Promise.resolve() };
    const graphs = new SharedLoads((name) => ({ name, bytes: () => Promise.resolve(new Uint8Array(0)) }), backend);
    const [first, second] = [await graphs.session('a.onnx'), await graphs.session('a.onnx')];
    expect(loads).toBe(1);
    expect(first).toMatchObject({ name: 'graph', inputs: [info], outputs: [info], device: cpu, sites: { columns: [], strides: [] } });
    const x = zeros([1]);
    expect((await second.run({ x }))['x']).toBe(x);
    await first.dispose();
    await first.dispose();
    expect(disposed).toEqual([]);
    await second.dispose();
    expect(disposed).toEqual(['graph']);
  });
});
