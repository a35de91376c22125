/*
 * What every backend must do, as cases that throw: run them under any test runner.
 *
 *   describeBackend('mine', () => myBackend(), { describe, it });
 */
import { BackendError, CapabilityError, DisposedError, float32, floats, hostTensor, int64, ModelError, randn, ShapeError, type Backend, type Session, type Tensor } from '@ediffi/core';
import { affine, attention, attentionByHand, boxFilter, BOX_WEIGHT, halves, lookup, slow, SLOW_WIDTH } from './conformance/fixtures.js';

/** One requirement; `run` rejects with an Error when it does not hold. */
export interface ConformanceCase {
  readonly name: string;
  /** Why it does not run here; report it as skipped. */
  readonly skip?: string;
  run(): Promise<void>;
}

function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} values, expected ${expected.length}`);
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(actual[i]! - expected[i]!) <= tolerance)) throw new Error(`${what}: ${actual[i]} at ${i}, expected ${expected[i]} ± ${tolerance}`);
  }
}

async function refuses(work: Promise<unknown>, isInstance: (error: unknown) => boolean, what: string): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (isInstance(error)) return;
    throw new Error(`${what}: rejected with ${String(error)} instead`);
  }
  throw new Error(`${what}: was accepted`);
}

async function output(session: Session, feeds: Record<string, Tensor>, name: string): Promise<Float32Array> {
  const tensor = (await session.run(feeds))[name];
  if (!tensor) throw new Error(`no output '${name}'`);
  return floats(tensor);
}

const row = (values: readonly number[]): Tensor => float32(values, [values.length / 4, 4]);

/** What a backend may differ in. */
export interface ConformanceOptions {
  /** For float32 arithmetic in another order. Default 1e-5. */
  readonly tolerance?: number;
  /** Why this backend works on the caller's thread or one call at a time, if it does: those cases are reported as skipped. */
  readonly blocking?: string;
  /** Why this backend cannot compute in float16 here, if it cannot: that case is reported as skipped. */
  readonly noFloat16?: string;
}

/** What is needed of a test runner; vitest, jest and node:test have it. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown;
  it: ((name: string, body: () => Promise<void>) => unknown) & { skip(name: string, body: () => Promise<void>): unknown };
}

/** Registers every case under a test runner, those that cannot run here as skipped with the reason in their name. */
export function describeBackend(name: string, create: () => Backend | Promise<Backend>, { describe, it }: TestRunner, options: ConformanceOptions = {}): void {
  describe(`backend conformance: ${name}`, () => {
    for (const { name: title, skip, run } of backendCases(create, options)) {
      if (skip === undefined) it(title, run);
      else it.skip(`${title} (${skip})`, run);
    }
  });
}

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** An input that keeps the slow model busy for about `least` ms and the ms it takes: the better of two runs counts, so that a busy moment is not taken for work. */
async function slowInput(session: Session, least = 150): Promise<{ x: Tensor; ms: number }> {
  for (let rows = 4; ; ) {
    const x = randn([rows, SLOW_WIDTH], 1);
    const times: number[] = [];
    for (let i = 0; i < 2; i++) {
      const start = performance.now();
      await session.run({ x });
      times.push(performance.now() - start);
    }
    const ms = Math.min(...times);
    if (ms >= least || rows >= 8192) return { x, ms };
    rows = Math.min(8192, rows * Math.max(2, Math.min(8, Math.ceil((1.3 * least) / ms))));
  }
}

/** The cases, each on a fresh backend that is disposed afterwards. */
export function backendCases(create: () => Backend | Promise<Backend>, { tolerance = 1e-5, blocking, noFloat16 }: ConformanceOptions = {}): ConformanceCase[] {
  const withBackend = (name: string, work: (backend: Backend) => Promise<void>): ConformanceCase => ({
    name,
    async run() {
      const backend = await create();
      await work(backend).finally(() => backend.dispose());
    },
  });
  const unless = (skip: string | undefined) => (given: ConformanceCase): ConformanceCase => (skip === undefined ? given : { ...given, skip });
  const free = unless(blocking);
  const withSession = (name: string, model: () => ReturnType<typeof affine>, work: (session: Session, backend: Backend) => Promise<void>): ConformanceCase =>
    withBackend(name, async (backend) => work(await backend.load(model()), backend));

  return [
    withSession('lists inputs and outputs with types and shapes', affine, async ({ inputs, outputs }) => {
      const found = JSON.stringify([inputs, outputs]);
      const expected = JSON.stringify([[{ name: 'x', dtype: 'float32', shape: ['batch', 4] }], [{ name: 'y', dtype: 'float32', shape: ['batch', 4] }]]);
      if (found !== expected) throw new Error(`${found}, expected ${expected}`);
    }),
    withSession('computes, for any batch', affine, async (session) => {
      close(await output(session, { x: row([1, 2, 3, 4]) }, 'y'), [3, 5, 7, 9], 0, 'y');
      close(await output(session, { x: row([1, 2, 3, 4, -1, 0, 0.5, 8]) }, 'y'), [3, 5, 7, 9, -1, 1, 2, 17], 0, 'y');
    }),
    withSession('convolves with float16 weights and float32 arithmetic', boxFilter, async (session) => {
      const y = await output(session, { x: float32(new Float32Array(16).fill(1), [1, 1, 4, 4]) }, 'y');
      close(y, [4, 6, 6, 4, 6, 9, 9, 6, 6, 9, 9, 6, 4, 6, 6, 4].map((n) => n * BOX_WEIGHT), tolerance, 'y');
    }),
    withSession('looks up int64 ids', lookup, async (session) => close(await output(session, { ids: int64([3, 1], [1, 2]) }, 'y'), [3, 30, 1, 10], 0, 'y')),
    unless(noFloat16)(
      withSession('takes and gives float16 as raw bits', halves, async (session) => {
        const y = await (await session.run({ x: hostTensor(Uint16Array.of(0x3c00, 0xc000, 0x3800, 0x0001), [1, 4], 'float16') }))['y']!.toHost();
        if (y.dtype !== 'float16' || !(y.data instanceof Uint16Array)) throw new Error(`y is ${y.dtype} in a ${y.data.constructor.name}`);
        close(y.data, [0x4000, 0xc400, 0x3c00, 0x0002], 0, 'bits of 2x');
      }),
    ),
    withSession('leaves feeds usable and unchanged', affine, async (session) => {
      const x = row([1, 2, 3, 4]);
      await session.run({ x });
      close(await floats(x), [1, 2, 3, 4], 0, 'x after the call');
      close(await output(session, { x }, 'y'), [3, 5, 7, 9], 0, 'second call');
    }),
    withSession('refuses unknown, missing and mistyped feeds', affine, async (session) => {
      const x = row([1, 2, 3, 4]);
      await refuses(session.run({ x, z: x }), BackendError.isInstance, 'unknown feed');
      await refuses(session.run({}), BackendError.isInstance, 'missing feed');
      await refuses(session.run({ x: int64([1, 2, 3, 4], [1, 4]) }), BackendError.isInstance, 'int64 for float32');
      await refuses(session.run({ x: float32([1, 2, 3], [1, 3]) }), ShapeError.isInstance, 'wrong size');
      await refuses(session.run({ x: float32([1, 2, 3, 4], [4]) }), ShapeError.isInstance, 'wrong rank');
    }),
    withSession('refuses symbolic sizes that disagree', attention, (session) =>
      refuses(session.run({ sample: randn([2, 2, 4, 4], 1), t5: randn([3, 3, 2], 2) }), ShapeError.isInstance, 'batch 2 against 3'),
    ),
    withBackend('paints with words: softmax(S + strength·max(S)·A), per picture', async (backend) => {
      const session = await backend.load(attention(), { instrument: { regions: true, maps: true } });
      const [sample, t5] = [randn([2, 2, 4, 4], 1), randn([2, 3, 2], 2)];
      const map = Float32Array.from({ length: 48 }, (_, i) => (i % 3 === 1 && i < 24 ? 1 : 0));
      const feeds = { sample, t5, regions_s1: float32(map, [1, 1, 16, 3]), regions_strength: float32([0.7, 0], [2, 1, 1, 1]) };
      const results = await session.run(feeds);
      const [y, weights] = [await floats(results['output']!), await floats(results['attention_s1']!)];
      for (const r of [0, 1]) {
        const hand = attentionByHand(sample.data.subarray(32 * r, 32 * r + 32), t5.data.subarray(6 * r, 6 * r + 6), map, r === 0 ? 0.7 : 0);
        close(y.subarray(32 * r, 32 * r + 32), hand.output, tolerance, `output of row ${r}`);
        close(weights.subarray(48 * r, 48 * r + 48), hand.weights.flat(), tolerance, `attention of row ${r}`);
      }
    }),
    withBackend('measures the bias by the standard deviation, if asked', async (backend) => {
      const session = await backend.load(attention(), { instrument: { regions: true, statistic: 'std' } });
      const [sample, t5] = [randn([1, 2, 4, 4], 1), randn([1, 3, 2], 2)];
      const map = Float32Array.from({ length: 48 }, (_, i) => Number(i % 3 === 0));
      const y = await output(session, { sample, t5, regions_s1: float32(map, [1, 1, 16, 3]), regions_strength: float32([1.3], [1, 1, 1, 1]) }, 'output');
      close(y, attentionByHand(sample.data, t5.data, map, 1.3, 'std').output, tolerance, 'output');
    }),
    withBackend('says where text enters', async (backend) => {
      const { sites } = await backend.load(attention(), { instrument: { regions: true, maps: true } });
      const wanted = { columns: [{ input: 't5', length: 3, offset: 0 }], strides: [{ stride: 1, layers: 1, input: 'regions_s1', map: 'attention_s1' }], strength: 'regions_strength' };
      if (JSON.stringify(sites) !== JSON.stringify(wanted)) throw new Error(`sites are ${JSON.stringify(sites)}, expected ${JSON.stringify(wanted)}`);
    }),
    withBackend('refuses region maps of another size', async (backend) => {
      const session = await backend.load(attention(), { instrument: { regions: true } });
      const run = (map: readonly number[], strength: readonly number[] = [1, 1, 1, 1]): Promise<unknown> =>
        session.run({ sample: randn([2, 2, 4, 4], 1), t5: randn([2, 3, 2], 2), regions_s1: float32(new Float32Array(map.reduce((a, b) => a * b, 1)), map), regions_strength: float32(new Float32Array(strength[0]!), strength) });
      for (const map of [[1, 1, 15, 3], [1, 1, 16, 4], [3, 1, 16, 3], [1, 16, 3]]) await refuses(run(map), ShapeError.isInstance, `map [${map.join(', ')}]`);
      await refuses(run([1, 1, 16, 3], [3, 1, 1, 1]), ShapeError.isInstance, 'three strengths for two pictures');
      await run([2, 1, 16, 3], [2, 1, 1, 1]);
    }),
    withBackend('refuses to instrument a graph without attention', (backend) => refuses(backend.load(affine(), { instrument: { regions: true } }), CapabilityError.isInstance, 'affine with regions')),
    withBackend('strength 0 changes no bit', async (backend) => {
      const [sample, t5] = [randn([1, 2, 4, 4], 3), randn([1, 3, 2], 4)];
      const stock = await output(await backend.load(attention()), { sample, t5 }, 'output');
      const session = await backend.load(attention(), { instrument: { regions: true } });
      const off = await output(session, { sample, t5, regions_s1: float32(new Float32Array(48).fill(1), [1, 1, 16, 3]), regions_strength: float32([0], [1, 1, 1, 1]) }, 'output');
      close(off, stock, 0, 'output');
    }),
    withBackend('runs two sessions at once', async (backend) => {
      const [a, b] = await Promise.all([backend.load(affine()), backend.load(lookup())]);
      const [y, z] = await Promise.all([output(a, { x: row([1, 1, 1, 1]) }, 'y'), output(b, { ids: int64([2], [1, 1]) }, 'y')]);
      close(y, [3, 3, 3, 3], 0, 'first');
      close(z, [2, 20], 0, 'second');
    }),
    free(
      withSession('lets timers tick while it works', slow, async (session) => {
        const { x } = await slowInput(session);
        let ticks = 0;
        const timer = setInterval(() => ticks++, 10);
        const start = performance.now();
        const y = await output(session, { x }, 'y').finally(() => clearInterval(timer));
        const elapsed = performance.now() - start;
        close(y, await floats(x), tolerance, 'y');
        if (ticks < elapsed / 60) throw new Error(`a timer of 10 ms ticked ${ticks} times in ${elapsed.toFixed(0)} ms`);
      }),
    ),
    free(
      withBackend('loads a session while another works', async (backend) => {
        const session = await backend.load(slow());
        const { x, ms } = await slowInput(session);
        const start = performance.now();
        await backend.load(affine());
        // Four times the work that a load by itself takes: a load that waits for it ends after it, one that does not ends well before.
        const calls = Math.ceil((4 * (performance.now() - start)) / ms) + 2;
        const done: string[] = [];
        const work = Promise.all(Array.from({ length: calls }, () => session.run({ x }))).then(() => done.push('work'));
        await Promise.all([work, backend.load(affine()).then(() => done.push('load'))]);
        if (done[0] !== 'load') throw new Error('the load waited for the other session');
      }),
    ),
    free(
      withSession('answers an abort in the middle of a call, and works afterwards', slow, async (session) => {
        const { x } = await slowInput(session);
        const [controller, reason] = [new AbortController(), new Error('enough')];
        const running = refuses(session.run({ x }, { signal: controller.signal }), (error) => error === reason, 'aborted run');
        running.catch(() => undefined); // handled below: a backend that fails at once must not leave it unhandled meanwhile
        await rest(10);
        controller.abort(reason);
        await running;
        close(await output(session, { x: randn([1, SLOW_WIDTH], 3) }, 'y'), randn([1, SLOW_WIDTH], 3).data, tolerance, 'run after the abort');
      }),
    ),
    withSession('answers an abort with its reason, and works afterwards', affine, async (session) => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await refuses(session.run({ x: row([1, 2, 3, 4]) }, { signal }), (error) => error === reason, 'aborted run');
      close(await output(session, { x: row([0, 0, 0, 0]) }, 'y'), [1, 1, 1, 1], 0, 'run after the abort');
    }),
    withSession('refuses to run after dispose, which may be called twice', affine, async (session) => {
      await session.dispose();
      await session.dispose();
      await refuses(session.run({ x: row([1, 2, 3, 4]) }), DisposedError.isInstance, 'run after dispose');
    }),
    withBackend('refuses to load after dispose, and to run what it had loaded', async (backend) => {
      const session = await backend.load(affine());
      await backend.dispose();
      await refuses(session.run({ x: row([1, 2, 3, 4]) }), DisposedError.isInstance, 'run');
      await refuses(backend.load(affine()), DisposedError.isInstance, 'load');
    }),
    withBackend('answers an abort of a load with its reason', async (backend) => {
      const reason = new Error('enough');
      await refuses(backend.load(affine(), { signal: AbortSignal.abort(reason) }), (error) => error === reason, 'aborted load');
    }),
    withBackend('refuses truncated and foreign files', async (backend) => {
      const bytes = await affine().bytes();
      const load = (data: Uint8Array): Promise<Session> => backend.load({ name: 'broken', bytes: async () => data });
      await refuses(load(bytes.subarray(0, bytes.length - 9)), ModelError.isInstance, 'truncated file');
      await refuses(load(new TextEncoder().encode('not a model')), ModelError.isInstance, 'foreign file');
      await refuses(load(new Uint8Array(0)), ModelError.isInstance, 'empty file');
    }),
    withBackend('checks the hash of a file', async (backend) => {
      await refuses(backend.load({ ...affine(), sha256: '0'.repeat(64) }), ModelError.isInstance, 'wrong hash');
    }),
  ];
}
