import { columnsOf, findPhrase, OptionError, PhraseError } from '@ediffi/core';
import type { Picture } from '../pictures/png.js';
import { HeatMap } from './heat-map.js';

/** What to watch while a picture is painted. Costs nothing unless given: the graph has these outputs only then. */
export interface AttentionOptions {
  /** A heat map per word: true keeps the mean over all steps (each step's own are in `stream`), 'steps' keeps each step's as well. Default: shares only. */
  readonly maps?: boolean | 'steps';
  /** Encoders whose tokens count for the heat maps. Default: all that read the prompt. */
  readonly encoders?: readonly string[];
  /** Strides of the layers to watch, such as [2]: `describe()` and `inspectGraph` name them. Default: all. */
  readonly sites?: readonly number[];
  /** σ range (from, to] that is watched. */
  readonly window?: { readonly from?: number; readonly to?: number };
}

/** The attention of one step to one picture's conditioning; mean over heads, layers, places and the step's network calls. */
export interface StepAttention {
  /** Position in the generation, as in GenerationStep. */
  readonly index: number;
  readonly sigma: number;
  readonly expert: string;
  /** Share per encoder, of 'null' (learned tokens that stand for no text) and, where picture and text share one sequence, of 'picture'. They sum to 1. */
  readonly shares: Readonly<Record<string, number>>;
  /** Share of the tokens that stand for words of the prompt, in the watched encoders; the rest of the encoders' share lies on start, end and padding. */
  readonly words: number;
  /** One per word of the prompt that a watched encoder reads, in its order; empty unless asked for. */
  readonly maps: readonly HeatMap[];
}

/** What one picture looked at while it was painted. */
export class Attention {
  readonly steps: readonly StepAttention[];
  /** One heat map per word of the prompt that a watched encoder reads, in its order, mean over the watched steps; empty unless maps were asked for. */
  readonly words: readonly HeatMap[];
  readonly prompt: string;

  constructor(prompt: string, steps: readonly StepAttention[], words: readonly HeatMap[]) {
    this.prompt = prompt;
    this.steps = steps;
    this.words = words;
  }

  /** The heat map of a phrase: the sum of its words'. Throws PhraseError for one that is not in the prompt or that no watched encoder reads, OptionError when no maps were asked for. */
  of(phrase: string, occurrence?: number): HeatMap {
    if (!this.words.length) throw new OptionError('attention', 'without maps', '{ attention: { maps: true } } and a prompt of at least one word');
    const ranges = findPhrase(this.prompt, phrase, occurrence);
    const [first, ...others] = columnsOf(this.words.map(({ start, end }, column) => ({ start, end, column })), ranges).map((i) => this.words[i]!);
    if (!first) throw new PhraseError(`"${phrase}" holds no word of the prompt ${JSON.stringify(this.prompt)} that a watched encoder reads — there are maps of ${this.words.map(({ text }) => text).join(', ')}`, phrase, this.prompt, []);
    const values = first.values.map((value, i) => others.reduce((sum, map) => sum + map.values[i]!, value));
    return new HeatMap({ text: phrase, start: ranges[0]!.start, end: ranges[0]!.end }, values, first.height, first.width, first.picture);
  }

  /** The same with every heat map over the finished picture. */
  over(picture: Picture): Attention {
    const laid = (maps: readonly HeatMap[]): HeatMap[] => maps.map((map) => map.over(picture));
    return new Attention(this.prompt, this.steps.map((step) => ({ ...step, maps: laid(step.maps) })), laid(this.words));
  }
}
