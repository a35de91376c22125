const MARKER = Symbol.for('ediffi.error');

/** Every error this SDK throws on purpose. `code` names the class; the message says what, where, which numbers, what to do. */
export class EdiffiError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = code;
    this.code = code;
    Object.defineProperty(this, MARKER, { value: true });
    Object.defineProperty(this, Symbol.for(`ediffi.error.${code}`), { value: true });
  }

  /** True for this class across duplicated copies of the package (markers, not prototypes). */
  static isInstance(value: unknown): value is EdiffiError {
    return marked(value, MARKER);
  }
}

/** Whether `value` is an error that carries the marker `code` puts on its class. */
export function hasCode(value: unknown, code: string): boolean {
  return marked(value, Symbol.for(`ediffi.error.${code}`));
}

function marked(value: unknown, marker: symbol): boolean {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[marker] === true;
}
