/*
 * Weights in a prompt, as A1111's web interface reads them: (word:1.2) and (word) times 1.1, [word] divided by 1.1, nested ones multiplied, \( \) \[ \] \\ for the
 * characters themselves, BREAK for a new window. A bracket that nothing closes reaches to the end.
 * Deviates: BREAK between brackets breaks (there it becomes the word BREAK with a negative weight); a weight that is no number is refused.
 */
import { OptionError } from '@ediffi/core';

/** Text of one weight, each UTF-16 unit with the half-open range of the prompt it was typed as. */
export interface WeightedText {
  readonly text: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly weight: number;
}

/** Characters [start, end) of the prompt; its text leaves out a first backslash. */
interface Run {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  weight: number;
}

const syntax = /\\[()[\]\\]?|[()[\]]|:\s*([+-]?[.\d]+)\s*\)|[^\\()[\]:]+|:/gu;
const breaks = /\s*(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])\s*/gu;
const factor = { '(': 1.1, '[': 1 / 1.1 } as const;

function numberOf(typed: string): number {
  if (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(typed)) return Number(typed);
  throw new OptionError('weight in the prompt', typed, 'a number such as 1.2');
}

/** A prompt as texts of one weight each and breaks. Throws OptionError for a weight that is no number. */
export function weightedText(prompt: string): (WeightedText | 'break')[] {
  const runs: (Run | 'break')[] = [];
  const open = { '(': [] as number[], '[': [] as number[] };
  const multiply = (from: number, by: number): void => {
    for (const run of runs.slice(from)) if (run !== 'break') run.weight *= by;
  };
  const add = (start: number, end: number, text = prompt.slice(start, end)): void => void runs.push({ start, end, text, weight: 1 });
  for (const { 0: found, 1: weight, index } of prompt.matchAll(syntax)) {
    const kind = found === ')' || weight !== undefined ? '(' : found === ']' ? '[' : undefined;
    if (found.startsWith('\\')) add(index, index + found.length, found.slice(1));
    else if (found === '(' || found === '[') open[found].push(runs.length);
    else if (kind && open[kind].length > 0) multiply(open[kind].pop()!, weight === undefined ? factor[kind] : numberOf(weight));
    else {
      let at = index;
      for (const cut of found.matchAll(breaks)) {
        add(at, index + cut.index);
        runs.push('break');
        at = index + cut.index + cut[0].length;
      }
      add(at, index + found.length);
    }
  }
  for (const kind of ['(', '['] as const) for (const from of open[kind]) multiply(from, factor[kind]);
  return merged(runs);
}

/** Neighbours of one weight as one text: words are tokenized across them. */
function merged(runs: readonly (Run | 'break')[]): (WeightedText | 'break')[] {
  const groups: (Run[] | 'break')[] = [];
  for (const run of runs) {
    const last = groups.at(-1);
    if (run === 'break') groups.push('break');
    else if (Array.isArray(last) && last[0]!.weight === run.weight) last.push(run);
    else groups.push([run]);
  }
  return groups.map((group) => {
    if (group === 'break') return group;
    // The text of an escape is shorter than what was typed: its one character stands for both.
    const units = group.flatMap(({ start, end, text }) => Array.from({ length: text.length }, (_, i) => [end - text.length + i - (i === 0 ? end - start - text.length : 0), end - text.length + i + 1] as const));
    return { text: group.map(({ text }) => text).join(''), starts: units.map(([start]) => start), ends: units.map(([, end]) => end), weight: group[0]!.weight };
  });
}
