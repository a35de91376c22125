import type { PromptEncoder } from '@ediffi/core';

/** Something to release. */
export interface Disposable {
  dispose(): Promise<void>;
}

/** A part that is made when it is first asked for; a failed attempt is made again. */
export interface Lazy<T> {
  readonly value: () => Promise<T>;
  readonly dispose: () => Promise<void>;
}

/** Makes a part once, on first use. */
export function lazy<T extends Disposable>(load: () => Promise<T>): Lazy<T> {
  let loading: Promise<T> | undefined;
  return {
    value: () => {
      loading ??= load();
      loading.catch(() => (loading = undefined));
      return loading;
    },
    dispose: async () => (await loading?.catch(() => undefined))?.dispose(),
  };
}

/** An encoder that loads when it is first asked to encode. */
export function lazyEncoder(name: string, width: number, length: number, load: () => Promise<PromptEncoder>): PromptEncoder {
  const made = lazy(load);
  return {
    name,
    width,
    length,
    windows: async (prompts) => (await made.value()).windows?.(prompts) ?? 1,
    encode: async (prompts, call) => (await made.value()).encode(prompts, call),
    dispose: made.dispose,
  };
}
