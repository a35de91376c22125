/* What every ONNX Runtime backend is: sessions in workers, what is open and loading, one way to run and to end. */
import { BackendError, DisposedError, hostTensor, type Backend, type DataOf, type Device, type DType, type LoadOptions, type ModelSource, type Session, type Tensor, type ValueInfo } from '@ediffi/core';
import { checkFeeds, describeFeeds } from './feeds.js';
import { openError, type Opening } from './open.js';
import { abortable } from './source.js';
import type { Thread } from './thread.js';

/** What a backend differs in. */
export interface OrtDriver {
  readonly name: string;
  readonly device: Device;
  opening(model: ModelSource, load: LoadOptions): Promise<Opening>;
  /** The worker for a model. */
  thread(name: string): Thread | Promise<Thread>;
  /** Where the worker can keep answers. */
  readonly kept?: Kept;
  /** Whether one worker serves all sessions; else each session ends its own. */
  readonly shared?: boolean;
  /** Ends what the driver keeps. */
  end?(): Promise<void>;
}

/** Tensors that stay in the worker, by number. */
export interface Kept extends Device {
  /** A number for what a call will answer. */
  next(): number;
  /** The number of a tensor that is there; undefined for one that is not. */
  refOf(tensor: Tensor): number | undefined;
  tensor<D extends DType>(ref: number, dtype: D, shape: readonly number[]): Tensor<D>;
  /** Frees what nobody will name any more; numbers that name nothing are no error. */
  drop(refs: readonly number[]): void;
}

interface Made {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

interface Plain {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Absent: it stayed in the worker. */
  readonly data?: DataOf[DType];
}

let count = 0;

/** A backend over workers with ONNX Runtime in them. */
export function ortBackend(driver: OrtDriver): Backend {
  const open = new Set<Session>();
  const loading = new Set<Promise<Session>>();
  let disposed: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await Promise.allSettled(loading);
    await Promise.all([...open].map((session) => session.dispose()));
    await driver.end?.();
  };
  return {
    name: driver.name,
    device: driver.device,
    async load(model, load = {}) {
      if (disposed) throw new DisposedError(`the ${driver.name} backend`);
      load.signal?.throwIfAborted();
      const made = createSession(driver, model, load, (session) => open.delete(session)).then((session) => {
        open.add(session);
        if (!disposed && !load.signal?.aborted) return session;
        void session.dispose();
        throw new DisposedError(`the ${driver.name} backend`);
      });
      loading.add(made);
      made.catch(() => undefined).finally(() => loading.delete(made));
      return abortable(made, load.signal);
    },
    dispose: () => (disposed ??= close()),
  };
}

async function createSession(driver: OrtDriver, model: ModelSource, load: LoadOptions, closed: (session: Session) => void): Promise<Session> {
  const { transfer, changed, ...request } = await driver.opening(model, load);
  load.signal?.throwIfAborted();
  const id = ++count;
  const { kept } = driver;
  const thread = await driver.thread(model.name);
  const end = async (): Promise<void> => (driver.shared ? void (await thread.ask('release', { id }).catch(() => undefined)) : thread.end());
  const made = await thread.ask<Made>('create', { id, ...request }, transfer, load.signal).catch((error: unknown) => {
    void end();
    throw openError(error, model);
  });
  let ended: Promise<void> | undefined;
  const session: Session = {
    name: model.name,
    ...made,
    ...(kept && { device: kept }),
    ...(changed && { sites: changed.sites }),
    async run(feeds, { signal } = {}) {
      if (ended) throw new DisposedError(model.name);
      checkFeeds(driver.name, model.name, made.inputs, feeds, changed);
      const copies: Record<string, Plain | { readonly ref: number }> = {};
      const moved: ArrayBuffer[] = [];
      for (const [name, tensor] of Object.entries(feeds)) {
        const ref = kept?.refOf(tensor);
        if (ref !== undefined) {
          copies[name] = { ref };
          continue;
        }
        const { dtype, shape, data } = await tensor.toHost();
        const copy = data.slice(); // one copy that moves to the worker; the caller's stays valid
        copies[name] = { dtype, shape: [...shape], data: copy };
        moved.push(copy.buffer);
      }
      const keep = kept && Object.fromEntries(made.outputs.map(({ name }) => [name, kept.next()]));
      const outputs = await thread.ask<Record<string, Plain>>('run', { id, feeds: copies, keep }, moved, signal).catch((error: unknown) => {
        kept?.drop(Object.values(keep!)); // after the call, which may have been aborted and yet end
        throw BackendError.isInstance(error) ? new BackendError(driver.name, error.message, describeFeeds(feeds), { cause: error }) : error;
      });
      return Object.fromEntries(Object.entries(outputs).map(([name, t]): [string, Tensor] => [name, t.data ? hostTensor(t.data, t.shape, t.dtype) : kept!.tensor(keep![name]!, t.dtype, t.shape)]));
    },
    dispose() {
      closed(session);
      return (ended ??= end());
    },
  };
  return session;
}
