import { EdiffiError } from '@ediffi/core';
import type { GenerationStep } from './step.js';

/** A generation under way: `for await` its steps (`break` stops the work), then `finish()` for what it painted. */
export interface Painting<T, S extends GenerationStep = GenerationStep> extends AsyncGenerator<S, T, void> {
  /** Runs the steps that are left and answers with the result; may be called after a loop or instead of one. Rejects when the painting failed or was stopped. */
  finish(): Promise<T>;
}

/** Lets a generator's result be asked for after `for await`, which drops it. */
export function painting<T, S extends GenerationStep>(source: AsyncGenerator<S, T, void>): Painting<T, S> {
  let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
  async function* watched(): AsyncGenerator<S, T, void> {
    try {
      const value = yield* source;
      outcome = { value };
      return value;
    } catch (error) {
      outcome = { error };
      throw error;
    }
  }
  const generator = watched();
  return Object.assign(generator, {
    async finish(): Promise<T> {
      while (!outcome && !(await generator.next()).done);
      if (!outcome) throw new EdiffiError('StoppedError', 'the painting was stopped before its last step — loop to the end, or call finish() instead of a loop');
      if ('error' in outcome) throw outcome.error;
      return outcome.value;
    },
  });
}
