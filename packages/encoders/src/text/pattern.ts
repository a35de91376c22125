import { ModelError } from '@ediffi/core';

/** A pattern of a tokenizer.json: literal text or a regular expression in Oniguruma's syntax. */
export type Pattern = { readonly String: string } | { readonly Regex: string };

/** Literal text as a pattern. */
export const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** White space as Rust and Oniguruma count it: JavaScript's \s has U+FEFF, which is none, and lacks U+0085. */
export const SPACE = '\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

/** As a global JavaScript pattern over code points. Throws ModelError for one that JavaScript cannot read. */
export function patternOf(pattern: Pattern | undefined): RegExp {
  if (!pattern) throw new ModelError('tokenizer: a pattern is missing', 'tokenizer.json');
  try {
    if ('String' in pattern) return new RegExp(escaped(pattern.String), 'gu');
    return new RegExp(spaces(pattern.Regex), 'gu');
  } catch (cause) {
    throw new ModelError(`tokenizer: the pattern ${JSON.stringify(pattern)} cannot be read`, 'tokenizer.json', { cause });
  }
}

/** \s and \S spelt out, inside classes and outside. */
function spaces(source: string): string {
  let inside = false;
  return source.replace(/\\.|\[|\]/gsu, (found) => {
    if (found === '[') inside = true;
    else if (found === ']') inside = false;
    else if (found === '\\s') return inside ? SPACE : `[${SPACE}]`;
    else if (found === '\\S' && !inside) return `[^${SPACE}]`;
    return found;
  });
}

const space = new RegExp(`^[${SPACE}]$`, 'u');

/** Whether a character is white space to the reference. */
export const isSpace = (char: string): boolean => space.test(char);
