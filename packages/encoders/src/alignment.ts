/** Normalized text and, for each of its positions, where that lies in the original (UTF-16 units). */
export interface Alignment {
  readonly text: string;
  /** Original offset at which the character that made normalized unit `i` begins. */
  readonly start: (i: number) => number;
  /** Original offset at which the character that made normalized unit `i − 1` ends, combining marks included. */
  readonly end: (i: number) => number;
}

/**
 * Which characters of the original each normalized unit came from. Normalizers may look around, drop, merge and lengthen
 * ('İ' lower-cases to two units), so the length of every normalized prefix decides: exact for whatever does not reorder.
 */
export function alignment(original: string, normalize?: (text: string) => string): Alignment {
  const text = normalize ? normalize(original) : original;
  if (!normalize || differsInCaseOnly(text, original)) return { text, start: (i) => i, end: (i) => i };

  const boundaries = [0];
  for (const character of original) boundaries.push(boundaries.at(-1)! + character.length);
  let reached = 0;
  const lengths = boundaries.map((boundary) => {
    const length = boundary === original.length ? text.length : normalize(original.slice(0, boundary)).length;
    return (reached = Math.min(text.length, Math.max(reached, length)));
  });
  const characterOf = (i: number): number => Math.max(0, lengths.findIndex((length) => length > i) - 1);
  return {
    text,
    start: (i) => (i >= text.length ? original.length : boundaries[characterOf(i)]!),
    end: (i) => {
      if (i <= 0) return 0;
      let next = characterOf(i - 1) + 1;
      while (lengths[next] === lengths[next + 1] && /^\p{M}/u.test(original.slice(boundaries[next]))) next++;
      return boundaries[next]!;
    },
  };
}

/** Whether two texts are equal but for the case of single units, position by position. */
function differsInCaseOnly(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && a[i]!.toLowerCase() !== b[i]!.toLowerCase()) return false;
  return true;
}
