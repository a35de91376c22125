/*
 * Paint with words (eDiff-I §4.3, arXiv 2211.01324): softmax((QKᵀ + w·A)/√d)·V in every cross-attention, A `[H·W, T]` holding each
 * phrase's mask in the columns of its tokens. Here are the data only: the graph adds them (see @ediffi/backends/graph).
 */
import { columnsOf, findPhrase, type TokenSpan } from '../conditioning/spans.js';
import { finiteNumber } from '../errors/check.js';
import { OptionError, ShapeError } from '../errors/errors.js';
import { shapeText } from '../tensor/tensor.js';
import { canvasRegions, labelRegions, type CanvasOptions, type PaintedPhrase, type Rgba } from './canvas.js';
import type { Region } from './region.js';
import { resizePlane } from './resize.js';
import { regionStrength, type StrengthOptions } from './strength.js';

/** Options of PaintWithWords. */
export interface PaintOptions extends StrengthOptions {
  /** What the graph multiplies the strength with: 'max' (the paper) or 'std' of the scores. Fixed when the graph is loaded. */
  readonly statistic?: 'max' | 'std';
  /**
   * Weight of a painted phrase where it is not painted, −1 to 0, times that of its region: below 0 it is kept away from there, so that an object follows its
   * mask though nothing else is painted. Default 0, the paper's rule.
   */
  readonly outside?: number;
}

/**
 * Regions of a picture, each bound to words of the prompt. Immutable; independent of the picture's size and of any model.
 *
 * @example
 * ```ts
 * import { PaintWithWords } from '@ediffi/core';
 *
 * const canvas = { width: 2, height: 1, data: Uint8Array.of(46, 125, 50, 255, 255, 255, 255, 255) }; // green | white
 * const paint = PaintWithWords.fromCanvas(canvas, { '#2e7d32': 'a grassy hill' }, { strength: 0.6 });
 * paint.check('a grassy hill under a cloudy sky'); // throws PhraseError for a phrase that is not there
 * console.log(paint.strength(10)); // 0.6·ln(1 + 10)
 * ```
 */
export class PaintWithWords {
  readonly regions: readonly Region[];
  readonly statistic: 'max' | 'std';
  readonly outside: number;
  readonly #strength: (sigma: number) => number;

  /** Throws ShapeError for a mask that is empty or not `[H, W]`, OptionError for values outside 0…1, an `outside` outside −1…0 or a strength that is no number. */
  constructor(regions: readonly Region[], options: PaintOptions = {}) {
    if (!regions?.length) throw new OptionError('regions', regions, 'a list of at least one { phrase, mask }');
    for (const { phrase, mask, weight } of regions) {
      if (!mask?.shape || !mask.data) throw new OptionError(`mask of "${phrase}"`, mask, 'a tensor [H, W], such as float32(values, [H, W])');
      if (mask.shape.length !== 2 || mask.data.length === 0) throw new ShapeError(`mask of "${phrase}"`, '[H, W] with H, W > 0', shapeText(mask.shape));
      if (!mask.data.every((v) => v >= 0 && v <= 1)) throw new OptionError(`mask of "${phrase}"`, 'values outside 0…1', 'values from 0 to 1');
      if (weight !== undefined) finiteNumber(`weight of "${phrase}"`, weight);
    }
    if (options.statistic !== undefined && options.statistic !== 'max' && options.statistic !== 'std') throw new OptionError('paint statistic', options.statistic, "'max' or 'std'");
    this.regions = regions;
    this.statistic = options.statistic ?? 'max';
    this.outside = finiteNumber('paint outside', options.outside ?? 0, -1, 0);
    this.#strength = regionStrength(options);
  }

  /** From a coloured canvas: `{ '#2e7d32': 'a grassy hill' }`. See canvasRegions for the errors. */
  static fromCanvas(canvas: Rgba, colors: Readonly<Record<string, PaintedPhrase>>, options: PaintOptions & CanvasOptions = {}): PaintWithWords {
    return new PaintWithWords(canvasRegions(canvas, colors, options), options);
  }

  /** From a label map (segmentation): one integer per pixel, row-major. */
  static fromLabels(labels: ArrayLike<number>, width: number, height: number, phrases: Readonly<Record<number, PaintedPhrase>>, options: PaintOptions = {}): PaintWithWords {
    return new PaintWithWords(labelRegions(labels, width, height, phrases), options);
  }

  /** w′·log(1 + σ) unless another rule was given; σ is EDM-like (a flow model's t enters as t/(1 − t)). */
  strength(sigma: number): number {
    return this.#strength(sigma);
  }

  /** Throws PhraseError unless every phrase occurs in the prompt. */
  check(prompt: string): void {
    for (const { phrase, occurrence } of this.regions) findPhrase(prompt, phrase, occurrence);
  }

  /**
   * A `[height·width, length]` for one prompt and one encoder's token spans. Where regions share a column, the larger absolute
   * value wins. Throws PhraseError when a phrase is not in the prompt.
   */
  map(prompt: string, spans: readonly TokenSpan[], height: number, width: number, length: number): Float32Array {
    const out = new Float32Array(height * width * length);
    const put = (column: number, i: number, value: number): void => {
      const at = i * length + column;
      if (Math.abs(value) > Math.abs(out[at]!)) out[at] = value;
    };
    const drawn = new Map<number, { readonly plane: Float32Array; weight: number }>(); // by column: where anything draws it, and how strongly at most
    for (const { phrase, occurrence, mask, weight = 1 } of this.regions) {
      const [h = 1, w = 1] = mask.shape;
      const plane = resizePlane(mask.data, h, w, height, width);
      for (const column of columnsOf(spans, findPhrase(prompt, phrase, occurrence))) {
        plane.forEach((v, i) => put(column, i, v * weight));
        if (this.outside === 0 || weight <= 0) continue;
        const all = drawn.get(column);
        if (all) {
          plane.forEach((v, i) => (all.plane[i] = Math.max(v, all.plane[i]!)));
          all.weight = Math.max(weight, all.weight);
        } else drawn.set(column, { plane: Float32Array.from(plane), weight });
      }
    }
    for (const [column, { plane, weight }] of drawn) plane.forEach((v, i) => put(column, i, this.outside * weight * (1 - v)));
    return out;
  }
}
