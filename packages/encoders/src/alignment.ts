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

  // Word by word where that comes to the same text (linear in the prompt's length), else over the whole.
  const words = original.match(/\s+|\S+/gu) ?? [];
  const parts = words.map(normalize).join('') === text ? words : [original];
  const boundaries = [0];
  const lengths = [0];
  for (const part of parts) {
    const [from, before] = [boundaries.at(-1)!, lengths.at(-1)!];
    const whole = part === original ? text.length : normalize(part).length;
    let at = 0;
    for (const character of part) {
      at += character.length;
      const length = at === part.length ? whole : normalize(part.slice(0, at)).length;
      boundaries.push(from + at);
      lengths.push(Math.min(before + whole, Math.max(lengths.at(-1)!, before + length)));
    }
  }
  const characterOf = (i: number): number => Math.max(0, firstAbove(lengths, i) - 1);
  return {
    text,
    start: (i) => (i >= text.length ? original.length : boundaries[characterOf(i)]!),
    end: (i) => {
      if (i <= 0) return 0;
      let next = characterOf(i - 1) + 1;
      while (lengths[next] === lengths[next + 1] && /^\p{M}/u.test(original.slice(boundaries[next], boundaries[next]! + 2))) next++;
      return boundaries[next]!;
    },
  };
}

/** Index of the first entry above `value` in a list that never falls. */
function firstAbove(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Whether two texts are equal but for the case of single units, position by position. */
function differsInCaseOnly(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && a[i]!.toLowerCase() !== b[i]!.toLowerCase()) return false;
  return true;
}
