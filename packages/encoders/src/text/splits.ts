/* The pre-tokenizers of a `tokenizer.json`: normalized text → pieces, each keeping the place of its characters. */
import { CapabilityError } from '@ediffi/core';
import { cutAt, joined, transformed, type AlignedText, type Change, type Piece } from './aligned-text.js';
import { prepended } from './normalizers.js';
import { isSpace, patternOf, type Pattern } from './pattern.js';
import { utf8Of } from './utf8.js';

/** Text → pieces. `first`: the text is the prompt's beginning. */
export type Split = (text: AlignedText, first: boolean) => AlignedText[];

/** One entry of a tokenizer.json, as far as it is read here. */
export interface SplitConfig {
  readonly type: string;
  readonly pretokenizers?: readonly SplitConfig[];
  readonly pattern?: Pattern;
  readonly behavior?: string;
  readonly invert?: boolean;
  readonly add_prefix_space?: boolean;
  readonly use_regex?: boolean;
  readonly replacement?: string;
  readonly prepend_scheme?: string;
  readonly split?: boolean;
  readonly individual_digits?: boolean;
}

/** What becomes of the matches. Throws CapabilityError for a behaviour that is not known here. */
function behaviour(name: string): (pieces: readonly Piece[]) => AlignedText[] {
  switch (name.toLowerCase()) {
    case 'removed':
      return (pieces) => pieces.filter(({ match }) => !match).map(({ text }) => text);
    case 'isolated':
      return (pieces) => pieces.map(({ text }) => text);
    case 'contiguous':
      return (pieces) => grouped(pieces, (before, piece) => before.match === piece.match);
    case 'mergedwithprevious':
      return (pieces) => grouped(pieces, (before, piece) => piece.match && !before.match);
    case 'mergedwithnext':
      return (pieces) => grouped(pieces, (before, piece) => before.match && !piece.match);
    default:
      throw new CapabilityError('tokenizer', `pre-tokenizer behaviour '${name}' is not supported`);
  }
}

/** Joins a piece to the one before it where `together` says so. */
function grouped(pieces: readonly Piece[], together: (before: Piece, piece: Piece) => boolean): AlignedText[] {
  const out: AlignedText[][] = [];
  pieces.forEach((piece, i) => {
    if (i > 0 && together(pieces[i - 1]!, piece)) out.at(-1)!.push(piece.text);
    else out.push([piece.text]);
  });
  return out.map(joined);
}

const inverted = (pieces: readonly Piece[], invert: boolean): Piece[] => pieces.map(({ text, match }) => ({ text, match: match !== invert }));

/** GPT-2's byte alphabet: printable Latin-1 as it is, the rest from U+0100 on. */
const byteLetters: readonly string[] = (() => {
  const printable = (b: number): boolean => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
})();
const gpt2 = (): RegExp => patternOf({ Regex: "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" });

/** Each byte as a letter; the letters of one character share its place. */
function bytesOf(text: AlignedText): AlignedText {
  return transformed(text, text.chars.flatMap((char): Change[] => utf8Of(char).map((byte, i): Change => [byteLetters[byte]!, Number(i > 0)])));
}

const punctuation = /^[!-/:-@[-`{-~]$|^\p{P}$/u;

/** White space goes, punctuation stands alone. */
const bert: Split = (text) => words(text).flatMap((word) => {
  const out: AlignedText[] = [];
  let run: Piece[] = [];
  const pieces = word.chars.map((char, i): Piece => ({ text: { chars: [char], starts: [word.starts[i]!], ends: [word.ends[i]!] }, match: punctuation.test(char) }));
  const flush = (): void => {
    if (run.length > 0) out.push(joined(run.map((p) => p.text)));
    run = [];
  };
  for (const piece of pieces) {
    if (!piece.match) run.push(piece);
    else {
      flush();
      out.push(piece.text);
    }
  }
  flush();
  return out;
});

/** Runs without white space. */
function words(text: AlignedText): AlignedText[] {
  const pieces = text.chars.map((char, i): Piece => ({ text: { chars: [char], starts: [text.starts[i]!], ends: [text.ends[i]!] }, match: isSpace(char) }));
  return grouped(pieces, (before, piece) => before.match === piece.match).filter((word) => !isSpace(word.chars[0]!));
}

function metaspace(config: SplitConfig): Split {
  const mark = config.replacement ?? '\u2581';
  const scheme = config.prepend_scheme ?? 'always';
  const pattern = patternOf({ String: mark });
  const cut = behaviour('MergedWithNext');
  return (text, first) => {
    const marked = { ...text, chars: text.chars.map((char) => (char === ' ' ? mark : char)) };
    const wanted = scheme === 'always' || (scheme === 'first' && first);
    const whole = wanted && marked.chars.length > 0 && marked.chars[0] !== mark ? prepended(marked, mark) : marked;
    return config.split === false ? [whole] : cut(cutAt(whole, pattern));
  };
}

/** The pre-tokenizer of a tokenizer.json; null leaves the text whole. Throws CapabilityError for a kind that is not known here. */
export function splitOf(config: SplitConfig | null | undefined): Split {
  if (!config) return (text) => [text];
  switch (config.type) {
    case 'Sequence': {
      const all = (config.pretokenizers ?? []).map(splitOf);
      return (text, first) => all.reduce((pieces, split) => pieces.flatMap((piece, i) => split(piece, first && i === 0)), [text]);
    }
    case 'Split': {
      const [pattern, cut] = [patternOf(config.pattern), behaviour(config.behavior ?? 'Isolated')];
      return (text) => cut(inverted(cutAt(text, pattern), config.invert ?? false));
    }
    case 'ByteLevel': {
      const pattern = gpt2();
      return (text) => {
        const spaced = config.add_prefix_space && text.chars[0] !== ' ' ? prepended(text, ' ') : text;
        return (config.use_regex === false ? [spaced] : cutAt(spaced, pattern).map((piece) => piece.text)).map(bytesOf);
      };
    }
    case 'Metaspace':
      return metaspace(config);
    case 'BertPreTokenizer':
      return bert;
    case 'WhitespaceSplit':
      return words;
    case 'Whitespace': {
      const pattern = /[\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}]+|[^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\s]+/gu;
      return (text) => cutAt(text, pattern).filter(({ match }) => match).map((piece) => piece.text);
    }
    case 'Punctuation': {
      const cut = behaviour(config.behavior ?? 'Isolated');
      const pattern = /[!-/:-@[-`{-~]|\p{P}/gu;
      return (text) => cut(cutAt(text, pattern));
    }
    case 'Digits': {
      const pattern = config.individual_digits ? /\p{N}/gu : /\p{N}+/gu;
      return (text) => cutAt(text, pattern).map((piece) => piece.text);
    }
    default:
      throw new CapabilityError('tokenizer', `pre-tokenizer '${config.type}' is not supported — supported are Sequence, Split, ByteLevel, Metaspace, BertPreTokenizer, WhitespaceSplit, Whitespace, Punctuation and Digits`);
  }
}
