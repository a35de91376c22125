/* The normalizers of a `tokenizer.json`, each keeping the place of every character (see aligned-text.ts). */
import { CapabilityError } from '@ediffi/core';
import { cutAt, joined, part, stringOf, transformed, type AlignedText, type Change } from './aligned-text.js';
import { charsMap } from './charsmap.js';
import { isSpace, patternOf, type Pattern } from './pattern.js';
import { utf8Of } from './utf8.js';

/** Text → normalized text. */
export type Normalizer = (text: AlignedText) => AlignedText;

/** One entry of a tokenizer.json, as far as it is read here. */
export interface NormalizerConfig {
  readonly type: string;
  readonly normalizers?: readonly NormalizerConfig[];
  readonly pattern?: Pattern;
  readonly content?: string;
  readonly precompiled_charsmap?: string;
  readonly strip_left?: boolean;
  readonly strip_right?: boolean;
  readonly prepend?: string;
}

/** Characters in place of `before`: the last ones are added, or the last one takes what is left over. */
export function replacing(before: number, after: readonly string[]): Change[] {
  const more = after.length - before;
  return after.map((char, i): Change => [char, more > 0 ? Number(i >= after.length - more) : more < 0 && i === after.length - 1 ? more : 0]);
}

/** A Unicode normal form, segment by segment: a character with the marks and jamo that may change together with it. */
function unicode(form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Normalizer {
  const compatible = form === 'NFKC' || form === 'NFKD';
  return (text) => {
    if (stringOf(text).normalize(form) === stringOf(text)) return text;
    const changes: Change[] = [];
    for (let from = 0, to = 1; from < text.chars.length; from = to, to++) {
      while (to < text.chars.length && meets(text.chars[to - 1]!, text.chars[to]!, form)) to++;
      changes.push(...composed(text.chars.slice(from, to), form, compatible ? 'NFKD' : 'NFD'));
    }
    return transformed(text, changes);
  };
}

/** Whether normalization may join or reorder two neighbours. */
const meets = (a: string, b: string, form: string): boolean => /^\p{M}/u.test(b.normalize('NFKD')) || (a + b).normalize(form) !== a.normalize(form) + b.normalize(form);

/**
 * Decomposes each character (the first part replaces it, the others are added), sorts, composes (a composition replaces all of its
 * parts): the bookkeeping of Rust's unicode_normalization_alignments.
 */
function composed(before: readonly string[], form: string, decomposition: 'NFD' | 'NFKD'): Change[] {
  const parts = before.flatMap((char) => [...char.normalize(decomposition)].map((c, i) => ({ char: c, change: Number(i > 0), used: false })));
  const take = (char: string): number => {
    const found = parts.find((p) => !p.used && p.char === char)!;
    found.used = true;
    return found.change;
  };
  return [...before.join('').normalize(form)].map((char): Change => {
    const [first, ...marks] = [...char.normalize('NFD')];
    return [char, marks.reduce((change, mark) => change + take(mark) - 1, take(first!))];
  });
}

function lowercase(text: AlignedText): AlignedText {
  // Each character by itself: final sigma does not look around in the reference.
  return transformed(text, text.chars.flatMap((char): Change[] => [...char.toLowerCase()].map((c, i): Change => [c, Number(i > 0)])));
}

function replace(pattern: RegExp, content: string): Normalizer {
  const added = [...content];
  return (text) => joined(cutAt(text, pattern).map((piece) => (piece.match ? transformed(piece.text, added.map((char): Change => [char, 1]), piece.text.chars.length) : piece.text)));
}

/** Clusters of at most 5 bytes are looked up whole, else their characters one by one (SentencePiece's port in Rust). */
function precompiled(base64: string): Normalizer {
  const map = charsMap(base64);
  const clusters = new Intl.Segmenter('en', { granularity: 'grapheme' });
  return (text) => {
    const changes: Change[] = [];
    for (const { segment } of clusters.segment(stringOf(text))) {
      const whole = utf8Of(segment).length < 6 ? map(segment) : undefined;
      if (whole !== undefined) changes.push(...replaced(segment, whole, changes));
      else for (const char of segment) {
        const other = map(char);
        if (other === undefined) changes.push([char, 0]);
        else changes.push(...replaced(char, other, changes));
      }
    }
    return transformed(text, changes);
  };
}

/** Replacement of a cluster; one by nothing is charged to the character before it. */
function replaced(before: string, after: string, done: Change[]): Change[] {
  const count = [...before].length;
  if (after !== '') return replacing(count, [...after]);
  const last = done.pop();
  return last ? [[last[0], last[1] - count]] : [];
}

function strip(left: boolean, right: boolean): Normalizer {
  return (text) => {
    let [from, to] = [0, text.chars.length];
    while (left && from < to && isSpace(text.chars[from]!)) from++;
    while (right && to > from && isSpace(text.chars[to - 1]!)) to--;
    return part(text, from, to);
  };
}

/** Puts `content` before the text; it takes the place of the first character. */
export function prepended(text: AlignedText, content: string): AlignedText {
  if (text.chars.length === 0) return text;
  const front = [...content].map((char): Change => [char, 1]);
  const head = transformed(part(text, 0, 1), [[front[0]![0], 0], ...front.slice(1), [text.chars[0]!, 1]]);
  return joined([head, part(text, 1, text.chars.length)]);
}

/** The normalizer of a tokenizer.json; null is none. Throws CapabilityError for a kind that is not known here. */
export function normalizerOf(config: NormalizerConfig | null | undefined): Normalizer {
  if (!config) return (text) => text;
  switch (config.type) {
    case 'Sequence': {
      const all = (config.normalizers ?? []).map(normalizerOf);
      return (text) => all.reduce((done, next) => next(done), text);
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return unicode(config.type);
    case 'Lowercase':
      return lowercase;
    case 'Replace':
      return replace(patternOf(config.pattern), config.content ?? '');
    case 'Strip':
      return strip(config.strip_left ?? true, config.strip_right ?? true);
    case 'Prepend': {
      const content = config.prepend ?? '';
      return (text) => (content === '' ? text : prepended(text, content));
    }
    case 'Precompiled':
      return precompiled(config.precompiled_charsmap ?? '');
    default:
      throw new CapabilityError('tokenizer', `normalizer '${config.type}' is not supported — supported are Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Replace, Strip, Prepend and Precompiled`);
  }
}
