/** What a worker answers to one request. */
export interface Answer {
  readonly result?: unknown;
  readonly error?: string;
  /** The worker can answer nothing more: why. */
  readonly lost?: string;
}

/** What the owner of a port hears of its worker. */
export interface PortEvents {
  answer(answer: Answer): void;
  /** The worker is gone; `why` says how. */
  gone(why: string, cause?: unknown): void;
}

/** A worker, of Node or of a browser, from the outside. */
export interface Port {
  post(message: Readonly<Record<string, unknown>>, transfer: readonly ArrayBuffer[]): void;
  /** While a request is open the process stays alive for it (Node). */
  busy(working: boolean): void;
  end(): unknown;
}
