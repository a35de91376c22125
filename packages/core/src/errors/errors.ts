import { EdiffiError, hasCode } from './ediffi-error.js';

interface Cause {
  cause?: unknown;
}

/** A tensor, mask or picture has the wrong shape or type. `expected` and `actual` hold the numbers. */
export class ShapeError extends EdiffiError {
  readonly expected: string;
  readonly actual: string;

  constructor(where: string, expected: string, actual: string, advice = '') {
    super('ShapeError', `${where}: expected ${expected}, got ${actual}${advice && ` — ${advice}`}`);
    this.expected = expected;
    this.actual = actual;
  }

  static override isInstance(value: unknown): value is ShapeError {
    return hasCode(value, 'ShapeError');
  }
}

/** A noise level (or a grid of them) outside what the model, schedule or solver can take. */
export class SigmaRangeError extends EdiffiError {
  readonly sigma: number;

  constructor(message: string, sigma: number) {
    super('SigmaRangeError', message);
    this.sigma = sigma;
  }

  static override isInstance(value: unknown): value is SigmaRangeError {
    return hasCode(value, 'SigmaRangeError');
  }
}

/** Experts that leave a gap or overlap. Intervals are (sigmaMin, sigmaMax]. */
export class CoverageError extends EdiffiError {
  readonly gaps: readonly (readonly [number, number])[];
  readonly overlaps: readonly (readonly [number, number])[];

  constructor(message: string, gaps: readonly (readonly [number, number])[], overlaps: readonly (readonly [number, number])[]) {
    super('CoverageError', message);
    this.gaps = gaps;
    this.overlaps = overlaps;
  }

  static override isInstance(value: unknown): value is CoverageError {
    return hasCode(value, 'CoverageError');
  }
}

/** A painted phrase that the prompt does not contain; `nearest` are tokens of the prompt that resemble it. */
export class PhraseError extends EdiffiError {
  readonly phrase: string;
  readonly prompt: string;
  readonly nearest: readonly string[];

  constructor(message: string, phrase: string, prompt: string, nearest: readonly string[]) {
    super('PhraseError', message);
    this.phrase = phrase;
    this.prompt = prompt;
    this.nearest = nearest;
  }

  static override isInstance(value: unknown): value is PhraseError {
    return hasCode(value, 'PhraseError');
  }
}

/** Something that this backend, model, graph or solver cannot do; nothing is ignored silently. */
export class CapabilityError extends EdiffiError {
  readonly feature: string;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(feature: string, message: string, detail: Readonly<Record<string, unknown>> = {}) {
    super('CapabilityError', message);
    this.feature = feature;
    this.detail = detail;
  }

  static override isInstance(value: unknown): value is CapabilityError {
    return hasCode(value, 'CapabilityError');
  }
}

/** A model folder, file or card that is missing, damaged or contradicts itself. */
export class ModelError extends EdiffiError {
  readonly file: string;

  constructor(message: string, file: string, options?: Cause) {
    super('ModelError', message, options);
    this.file = file;
  }

  static override isInstance(value: unknown): value is ModelError {
    return hasCode(value, 'ModelError');
  }
}

/** A backend refused or failed a call. `feeds` names dtype and shape of what it was given, never the contents. */
export class BackendError extends EdiffiError {
  readonly backend: string;
  readonly feeds: Readonly<Record<string, string>>;

  constructor(backend: string, message: string, feeds: Readonly<Record<string, string>> = {}, options?: Cause) {
    super('BackendError', message, options);
    this.backend = backend;
    this.feeds = feeds;
  }

  static override isInstance(value: unknown): value is BackendError {
    return hasCode(value, 'BackendError');
  }
}

/** NaN or infinity where a number belongs. */
export class NonFiniteError extends EdiffiError {
  readonly where: string;
  readonly sigma: number;

  constructor(where: string, sigma: number, advice: string) {
    super('NonFiniteError', `${where}: not a finite number at σ = ${sigma} — ${advice}`);
    this.where = where;
    this.sigma = sigma;
  }

  static override isInstance(value: unknown): value is NonFiniteError {
    return hasCode(value, 'NonFiniteError');
  }
}

/** Use of something after its dispose(). */
export class DisposedError extends EdiffiError {
  constructor(what: string) {
    super('DisposedError', `${what} was disposed — load it again before using it`);
  }

  static override isInstance(value: unknown): value is DisposedError {
    return hasCode(value, 'DisposedError');
  }
}

/** An option outside its legal values: says which option, what it was, and what is legal. */
export class OptionError extends EdiffiError {
  readonly option: string;
  readonly value: unknown;

  constructor(option: string, value: unknown, legal: string) {
    super('OptionError', `${option}: expected ${legal}, got ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`);
    this.option = option;
    this.value = value;
  }

  static override isInstance(value: unknown): value is OptionError {
    return hasCode(value, 'OptionError');
  }
}
