import type { Abort } from '../abort.js';
import { DisposedError } from '../errors/errors.js';
import type { Denoiser } from '../denoiser/denoiser.js';

interface Slot<C> {
  readonly load: () => Promise<Denoiser<C>>;
  /** Given ready-made: the caller owns it, it is never evicted. */
  readonly owned: boolean;
  loading?: Promise<Denoiser<C>> | undefined;
  /** Still in memory, on its way out. */
  leaving: boolean;
  /** Calls that hold it (waiting for its load, or at work); those still waiting for room hold nothing, or they would wait for each other. */
  users: number;
  /** Clock of the last call or prefetch: what was longest unused goes first. */
  lastUse: number;
  lastCall: number;
  callBefore: number;
}

/**
 * Which experts are in memory: loads on first use, at most `limit` at a time, never evicts one that is working. Loads begin and
 * evictions run one after the other (`#inTurn`), so the bound holds at every moment; loads themselves overlap.
 */
export class Residency<C> {
  readonly #slots: readonly Slot<C>[];
  readonly #limit: number;
  #clock = 0;
  #disposal: Promise<void> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #onIdle: (() => void)[] = [];

  constructor(denoisers: readonly (Denoiser<C> | (() => Promise<Denoiser<C>>))[], limit: number) {
    this.#limit = limit;
    this.#slots = denoisers.map((d) => ({ load: async () => (typeof d === 'function' ? d() : d), owned: typeof d === 'function', leaving: false, users: 0, lastUse: 0, lastCall: 0, callBefore: 0 }));
  }

  /** How many experts the ensemble itself holds: loaded, loading or being released. */
  get resident(): number {
    return this.#slots.filter((slot) => slot.owned && (slot.loading || slot.leaving)).length;
  }

  /** Runs `work` with expert `index` in memory. Rejects with the signal's reason as soon as it aborts before that; a load that has begun goes on, and what it loads stays as if prefetched. */
  async use<T>(index: number, work: (denoiser: Denoiser<C>) => Promise<T>, signal?: Abort): Promise<T> {
    this.#refuseDisposed();
    signal?.throwIfAborted();
    const slot = this.#slots[index]!;
    slot.callBefore = slot.lastCall;
    slot.lastCall = slot.lastUse = ++this.#clock;
    const denoiser = await this.#untilAborted(slot, this.#held(slot, signal), signal);
    try {
      return await work(denoiser);
    } finally {
      this.#letGo(slot);
    }
  }

  /** The expert of a slot, loaded, held for one call. */
  async #held(slot: Slot<C>, signal: Abort | undefined): Promise<Denoiser<C>> {
    const { loading } = slot.loading ? this.#hold(slot, slot.loading) : await this.#inTurn(async () => this.#hold(slot, (await this.#start(slot, signal))[0]));
    try {
      const denoiser = await loading;
      this.#refuseDisposed();
      return denoiser;
    } catch (error) {
      this.#letGo(slot);
      throw error;
    }
  }

  /** `held`, or a rejection when the signal aborts first: then the slot is let go when its load has ended, before which nobody could evict it anyway. */
  #untilAborted(slot: Slot<C>, held: Promise<Denoiser<C>>, signal: Abort | undefined): Promise<Denoiser<C>> {
    if (!signal) return held;
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        reject(signal.reason);
        held.then(() => this.#letGo(slot), () => undefined);
        this.#wake(); // it may be waiting for room
      };
      signal.addEventListener('abort', aborted, { once: true });
      const over = (): void => signal.removeEventListener('abort', aborted);
      held.then(
        (denoiser) => (over(), resolve(denoiser)),
        (error: unknown) => (over(), reject(error)),
      );
    });
  }

  /**
   * Starts loading expert `index` while `current` works, if there is room, or an idle expert that no call has needed since the call
   * of `current` before this one (so pictures at different noise do not evict each other's). Errors surface when it is used.
   */
  prefetch(index: number, current: number): void {
    const slot = this.#slots[index];
    if (!slot || slot.loading || this.#disposal) return;
    const { callBefore } = this.#slots[current]!;
    const attempt = async (): Promise<void> => {
      if (slot.loading || this.#disposal) return;
      if (slot.owned && this.resident >= this.#limit) {
        const stale = this.#idle().find((other) => other.lastUse < callBefore);
        if (!stale) return;
        await this.#release(stale);
        if (this.#disposal) return;
      }
      slot.lastUse = ++this.#clock;
      await this.#start(slot);
    };
    this.#inTurn(attempt).catch(() => undefined);
  }

  #hold(slot: Slot<C>, loading: Promise<Denoiser<C>>): { readonly loading: Promise<Denoiser<C>> } {
    slot.users++;
    return { loading };
  }

  #letGo(slot: Slot<C>): void {
    slot.users--;
    this.#wake();
  }

  /** Makes room and begins the load, if nobody did. The promise of the load comes in a list: awaiting the start must not await the load. */
  async #start(slot: Slot<C>, signal?: Abort): Promise<readonly [Promise<Denoiser<C>>]> {
    if (slot.loading) return [slot.loading];
    signal?.throwIfAborted();
    while (slot.owned && this.resident >= this.#limit) {
      this.#refuseDisposed();
      const [idle] = this.#idle();
      if (idle) await this.#release(idle);
      else await this.#nextIdle();
      signal?.throwIfAborted();
    }
    this.#refuseDisposed();
    const loading = slot.load();
    slot.loading = loading;
    loading.catch(() => {
      if (slot.loading === loading) slot.loading = undefined;
    });
    return [loading];
  }

  /** Evictable experts, the longest unused first. */
  #idle(): Slot<C>[] {
    return this.#slots.filter((slot) => slot.loading && slot.owned && slot.users === 0).sort((a, b) => a.lastUse - b.lastUse);
  }

  async #release(slot: Slot<C>): Promise<void> {
    const { loading } = slot;
    slot.loading = undefined;
    if (!slot.owned || !loading) return;
    slot.leaving = true;
    try {
      const denoiser = await loading.catch(() => undefined);
      await denoiser?.dispose();
    } finally {
      slot.leaving = false;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #nextIdle(): Promise<void> {
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#onIdle.splice(0)) wake();
  }

  #refuseDisposed(): void {
    if (this.#disposal) throw new DisposedError('the ensemble');
  }

  /** Releases what the ensemble loaded itself, each as soon as the call that it is working on has ended. Idempotent. */
  dispose(): Promise<void> {
    this.#disposal ??= Promise.all(
      this.#slots.map(async (slot) => {
        while (slot.users > 0) await this.#nextIdle();
        await this.#inTurn(() => this.#release(slot));
      }),
    ).then(() => undefined);
    this.#wake();
    return this.#disposal;
  }
}
