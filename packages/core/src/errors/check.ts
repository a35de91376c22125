import { OptionError } from './errors.js';

/** Returns `value` if it is a finite number within [min, max]; throws OptionError otherwise. */
export function finiteNumber(option: string, value: number, min = -Infinity, max = Infinity): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max) {
    throw new OptionError(option, value, range('a finite number', min, max));
  }
  return value;
}

/** Returns `value` if it is an integer within [min, max]; throws OptionError otherwise. */
export function integer(option: string, value: number, min = -Infinity, max = Infinity): number {
  if (!Number.isInteger(value) || value < min || value > max) throw new OptionError(option, value, range('an integer', min, max));
  return value;
}

/** A σ range (from, to] with its defaults 0 and ∞ filled in; throws OptionError unless 0 ≤ from < to. */
export function sigmaWindow(option: string, window: { readonly from?: number; readonly to?: number } = {}): { readonly from: number; readonly to: number } {
  const { from = 0, to = Infinity } = window;
  if (!(from >= 0 && from < to)) throw new OptionError(option, `(${from}, ${to}]`, 'a range of σ with 0 ≤ from < to');
  return { from, to };
}

function range(what: string, min: number, max: number): string {
  if (min === -Infinity && max === Infinity) return what;
  if (max === Infinity) return `${what} ≥ ${min}`;
  return min === -Infinity ? `${what} ≤ ${max}` : `${what} from ${min} to ${max}`;
}

/** The `count` entries of `known` nearest to `word` by edit distance, closest first (Levenshtein, case-insensitive). */
export function nearest(word: string, known: readonly string[], count = 3): string[] {
  const target = word.toLowerCase();
  return [...new Set(known)]
    .map((entry) => ({ entry, distance: editDistance(target, entry.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ entry }) => entry);
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
