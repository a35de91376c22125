/*
 * Text on its way through a tokenizer, each code point with the part of the prompt it came from: what Hugging Face's `tokenizers` calls a
 * NormalizedString. A replacement takes the place of what it replaces; a character that is added takes the place of the one before it.
 */

/** Code points with the half-open ranges of the prompt (UTF-16 units) that each stands for. */
export interface AlignedText {
  readonly chars: readonly string[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** A character and how the count changes there: 0 replaces one, 1 is added, −n replaces 1 + n. */
export type Change = readonly [char: string, change: number];

/** The prompt as it was typed; lone surrogates, which no tokenizer can encode, become U+FFFD. */
export function alignedText(prompt: string): AlignedText {
  const chars: string[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const char of prompt) {
    chars.push(/^[\ud800-\udfff]$/.test(char) ? '\ufffd' : char);
    starts.push(at);
    ends.push((at += char.length));
  }
  return { chars, starts, ends };
}

export const stringOf = (text: AlignedText): string => text.chars.join('');

/** Code points [from, to). */
export function part(text: AlignedText, from: number, to: number): AlignedText {
  return { chars: text.chars.slice(from, to), starts: text.starts.slice(from, to), ends: text.ends.slice(from, to) };
}

/** The text with its characters changed in order, after dropping the first `removed`. */
export function transformed(text: AlignedText, changes: Iterable<Change>, removed = 0): AlignedText {
  const out = { chars: [] as string[], starts: [] as number[], ends: [] as number[] };
  let next = removed;
  for (const [char, change] of changes) {
    const at = change > 0 ? next - 1 : next;
    out.chars.push(char);
    out.starts.push(text.starts[at] ?? 0);
    out.ends.push(text.ends[at] ?? 0);
    if (change <= 0) next += 1 - change;
  }
  return out;
}

/** Joins parts that follow each other. */
export function joined(parts: readonly AlignedText[]): AlignedText {
  return { chars: parts.flatMap((p) => p.chars), starts: parts.flatMap((p) => p.starts), ends: parts.flatMap((p) => p.ends) };
}

/** A run of the text, and whether the pattern made it. */
export interface Piece {
  readonly text: AlignedText;
  readonly match: boolean;
}

/** The text cut at every match of a global pattern; empty pieces are left out. */
export function cutAt(text: AlignedText, pattern: RegExp): Piece[] {
  const whole = stringOf(text);
  const index = new Map<number, number>([[whole.length, text.chars.length]]); // UTF-16 offset → code point
  let units = 0;
  text.chars.forEach((char, i) => {
    index.set(units, i);
    units += char.length;
  });
  const out: Piece[] = [];
  let last = 0;
  for (const found of whole.matchAll(pattern)) {
    if (found[0] === '') continue;
    const [from, to] = [index.get(found.index)!, index.get(found.index + found[0].length)!];
    if (from > last) out.push({ text: part(text, last, from), match: false });
    out.push({ text: part(text, from, to), match: true });
    last = to;
  }
  if (last < text.chars.length) out.push({ text: part(text, last, text.chars.length), match: false });
  return out;
}
