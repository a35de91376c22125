/* What the conformance cases are made of. */
import { float32, floats, randn, type Session, type Tensor } from '@ediffi/core';
import { SLOW_WIDTH } from './fixtures.js';

/** Throws unless two runs of numbers agree within the tolerance. */
export function close(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} values, expected ${expected.length}`);
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(actual[i]! - expected[i]!) <= tolerance)) throw new Error(`${what}: ${actual[i]} at ${i}, expected ${expected[i]} ± ${tolerance}`);
  }
}

/** Throws unless the work rejects with the right kind of error. */
export async function refuses(work: Promise<unknown>, isInstance: (error: unknown) => boolean, what: string): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (isInstance(error)) return;
    throw new Error(`${what}: rejected with ${String(error)} instead`);
  }
  throw new Error(`${what}: was accepted`);
}

/** One output of a call. */
export async function output(session: Session, feeds: Record<string, Tensor>, name: string): Promise<Float32Array> {
  const tensor = (await session.run(feeds))[name];
  if (!tensor) throw new Error(`no output '${name}'`);
  return floats(tensor);
}

/** Rows of four. */
export const row = (values: readonly number[]): Tensor => float32(values, [values.length / 4, 4]);

/** A promise of later. */
export const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** An input that keeps the slow model busy for about `least` ms and the ms it takes: the better of two runs counts, so that a busy moment is not taken for work. */
export async function slowInput(session: Session, least = 150): Promise<{ x: Tensor; ms: number }> {
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
