/*
 * What every backend must do, as cases that throw: run them under any test runner.
 *
 *   describeBackend('mine', () => myBackend(), { describe, it });
 */
import { BackendError, CapabilityError, cast, concatRows, cpu, DisposedError, float32, floats, hostTensor, int64, ModelError, randn, ShapeError, takeRows, type Backend, type Session, type Tensor } from '@ediffi/core';
import { close, output, refuses, rest, row, slowInput } from './conformance/checks.js';
import { affine, attention, attentionByHand, boxFilter, BOX_WEIGHT, convolution, halves, kernelOf, lookup, pixelShuffle, slow, SLOW_WIDTH } from './conformance/fixtures.js';

/** One requirement; `run` rejects with an Error when it does not hold. */
export interface ConformanceCase {
  readonly name: string;
  /** Why it does not run here; report it as skipped. */
  readonly skip?: string;
  run(): Promise<void>;
}

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
    withBackend('convolves 3, 4, 6, 9, 13 and 51 channels', async (backend) => {
      for (const channels of [3, 4, 6, 9, 13, 51]) {
        const x = randn([1, channels, 4, 5], 2);
        const kernel = kernelOf(channels);
        const wanted = Float32Array.from({ length: 4 * 2 * 3 }, (_, i) => {
          const [out, row, column] = [Math.floor(i / 6), Math.floor(i / 3) % 2, i % 3];
          let sum = 0;
          for (let k = 0; k < channels * 9; k++) sum += kernel[out * channels * 9 + k]! * x.data[Math.floor(k / 9) * 20 + (row + (Math.floor(k / 3) % 3)) * 5 + column + (k % 3)]!;
          return sum;
        });
        close(await output(await backend.load(convolution(channels)), { x }, 'y'), wanted, 20 * tolerance, `y of ${channels} channels`);
      }
    }),
    withSession('lays channels out as pixels', pixelShuffle, async (session) => {
      const x = randn([2, 8, 3, 5], 1);
      const wanted = Float32Array.from({ length: 2 * 2 * 6 * 10 }, (_, i) => {
        const [b, c, row, column] = [Math.floor(i / 120), Math.floor(i / 60) % 2, Math.floor(i / 10) % 6, i % 10];
        return x.data[((b * 8 + c * 4 + (row % 2) * 2 + (column % 2)) * 3 + Math.floor(row / 2)) * 5 + Math.floor(column / 2)]!;
      });
      close(await output(session, { x }, 'y'), wanted, 0, 'y');
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
    withSession('adds, joins, parts and rounds on its device', affine, async (_, { device }) => {
      const terms = Array.from({ length: 9 }, (_, i) => [0.75 * i - 2.1, randn([2, 3, 5], i)] as const); // an odd number of elements
      const there = await Promise.all(terms.map(async ([c, t]) => [c, await device.fromHost(t)] as const));
      for (const n of [1, 2, 6, 7, 9]) close(await floats(await device.lincomb(there.slice(0, n))), (cpu.lincomb(terms.slice(0, n)) as ReturnType<typeof float32>).data, tolerance, `sum of ${n}`);
      const [a, b] = [there[0]![1], there[1]![1]];
      const both = await concatRows(a, b);
      close(both.shape, [4, 3, 5], 0, 'shape of both');
      close(await floats(both), [...terms[0]![1].data, ...terms[1]![1].data], 0, 'both');
      close(await floats(await takeRows(both, 1, 3)), [...terms[0]![1].data.subarray(15), ...terms[1]![1].data.subarray(0, 15)], 0, 'rows 1 and 2');
      const half = await cast(await device.fromHost(float32([1, -2, 0.5, 1 / 3, 65504], [5])), 'float16');
      close((await half.toHost()).data as Uint16Array, [0x3c00, 0xc000, 0x3800, 0x3555, 0x7bff], 0, 'bits in float16');
      close(await floats(await cast(half, 'float32')), [1, -2, 0.5, 0.333251953125, 65504], 0, 'back in float32');
    }),
    withSession('answers where its device is, and takes it back', affine, async (session, { device }) => {
      const x = await device.fromHost(row([1, 2, 3, 4]) as ReturnType<typeof float32>);
      const y = (await session.run({ x }))['y']!;
      const z = (await session.run({ x: y }))['y']!;
      if (session.device && (session.device !== device || y.device !== device)) throw new Error(`the answer is on ${y.device.id}, expected ${device.id}`);
      const place = y.device; // the host for backends without a device of their own
      const sum = await place.lincomb([[2, y], [-1, z]]);
      close(await floats(sum), [-1, -1, -1, -1], 0, '2y − (2y + 1)');
      y.dispose();
      y.dispose();
      close(await floats(z), [7, 11, 15, 19], 0, 'what was made from a freed tensor');
      if (session.device) await refuses(y.toHost(), DisposedError.isInstance, 'a freed tensor');
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
      const wanted = { columns: [{ input: 't5', length: 3, offset: 0 }], strides: [{ stride: 1, layers: 1, input: 'regions_s1', map: 'attention_s1' }], strength: 'regions_strength', statistic: 'max' };
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
    withBackend('loads again after everything was disposed', async (backend) => {
      await (await backend.load(affine())).dispose();
      close(await output(await backend.load(affine()), { x: row([1, 2, 3, 4]) }, 'y'), [3, 5, 7, 9], 0, 'y');
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
