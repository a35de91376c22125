import { DisposedError } from '../errors/errors.js';
import type { Denoiser } from '../denoiser/denoiser.js';

interface Slot<C> {
  readonly load: () => Promise<Denoiser<C>>;
  /** Given ready-made: the caller owns it, it is never evicted. */
  readonly owned: boolean;
  loading?: Promise<Denoiser<C>> | undefined;
  users: number;
  lastUse: number;
}

/** Which experts are in memory: loads on first use, at most `limit` at a time, never evicts one that is working. */
export class Residency<C> {
  readonly #slots: readonly Slot<C>[];
  readonly #limit: number;
  #clock = 0;
  #disposed = false;
  #evicting: Promise<void> = Promise.resolve();
  #onIdle: (() => void)[] = [];

  constructor(denoisers: readonly (Denoiser<C> | (() => Promise<Denoiser<C>>))[], limit: number) {
    this.#limit = limit;
    this.#slots = denoisers.map((d) => ({ load: typeof d === 'function' ? d : async () => d, owned: typeof d === 'function', users: 0, lastUse: 0 }));
  }

  /** How many experts the ensemble itself has loaded or is loading. */
  get resident(): number {
    return this.#slots.filter((slot) => slot.loading && slot.owned).length;
  }

  /** Runs `work` with expert `index` in memory. */
  async use<T>(index: number, work: (denoiser: Denoiser<C>) => Promise<T>): Promise<T> {
    if (this.#disposed) throw new DisposedError('the ensemble');
    const slot = this.#slots[index]!;
    slot.users++;
    slot.lastUse = ++this.#clock;
    try {
      if (!slot.loading) await this.#makeRoom(index);
      return await work(await this.#start(slot));
    } finally {
      slot.users--;
      for (const wake of this.#onIdle.splice(0)) wake();
    }
  }

  /** Starts loading an expert if there is room; errors surface when it is used. */
  prefetch(index: number): void {
    const slot = this.#slots[index];
    if (!slot || slot.loading || this.#disposed || this.resident >= this.#limit) return;
    slot.lastUse = ++this.#clock;
    this.#start(slot).catch(() => undefined);
  }

  #start(slot: Slot<C>): Promise<Denoiser<C>> {
    if (!slot.loading) {
      const loading = slot.load();
      slot.loading = loading;
      loading.catch(() => {
        if (slot.loading === loading) slot.loading = undefined;
      });
    }
    return slot.loading;
  }

  /** Releases the longest-unused idle expert before another is loaded, waiting for one when all work: the bound holds at every moment. */
  async #makeRoom(index: number): Promise<void> {
    const turn = this.#evicting.then(async () => {
      while (this.#slots[index]!.owned && !this.#slots[index]!.loading && this.resident >= this.#limit) {
        const idle = this.#slots.filter((slot) => slot.loading && slot.owned && slot.users === 0).sort((a, b) => a.lastUse - b.lastUse)[0];
        if (idle) await this.#release(idle);
        else await new Promise<void>((resolve) => this.#onIdle.push(resolve));
      }
    });
    this.#evicting = turn.catch(() => undefined);
    await turn;
  }

  async #release(slot: Slot<C>): Promise<void> {
    const loading = slot.loading;
    slot.loading = undefined;
    if (slot.owned && loading) await loading.then((denoiser) => denoiser.dispose(), () => undefined);
  }

  /** Releases what the ensemble loaded itself. Idempotent. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.all(this.#slots.map((slot) => this.#release(slot)));
  }
}
