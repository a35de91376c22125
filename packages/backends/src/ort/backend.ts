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
  /** Whether one worker serves all sessions; else each session ends its own. */
  readonly shared?: boolean;
  /** Ends what the driver keeps. */
  end?(): Promise<void>;
}

interface Made {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

interface Plain {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: DataOf[DType];
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
    ...(changed && { sites: changed.sites }),
    async run(feeds, { signal } = {}) {
      if (ended) throw new DisposedError(model.name);
      checkFeeds(driver.name, model.name, made.inputs, feeds, changed);
      const copies: Record<string, Plain> = {};
      const moved: ArrayBuffer[] = [];
      for (const [name, tensor] of Object.entries(feeds)) {
        const { dtype, shape, data } = await tensor.toHost();
        const copy = data.slice(); // one copy that moves to the worker; the caller's stays valid
        copies[name] = { dtype, shape: [...shape], data: copy };
        moved.push(copy.buffer);
      }
      const outputs = await thread.ask<Record<string, Plain>>('run', { id, feeds: copies }, moved, signal).catch((error: unknown) => {
        throw BackendError.isInstance(error) ? new BackendError(driver.name, error.message, describeFeeds(feeds), { cause: error }) : error;
      });
      return Object.fromEntries(Object.entries(outputs).map(([name, t]): [string, Tensor] => [name, hostTensor(t.data, t.shape, t.dtype)]));
    },
    dispose() {
      closed(session);
      return (ended ??= end());
    },
  };
  return session;
}
