import { float32, type HostTensor } from '@ediffi/core';
import ndarray, { type NdArray } from 'ndarray';
import type { Attention } from '../attention/attention.js';
import type { Metadata } from '../metadata.js';
import type { Warning } from '../warnings.js';
import { rgbOf } from './input.js';
import { encodePng } from './png.js';

/** A finished picture: pixels, how it was made, and what to know about it. */
export class GeneratedImage {
  readonly width: number;
  readonly height: number;
  /** RGB, row-major, 0–255: width · height · 3 bytes. */
  readonly data: Uint8Array;
  /** The same picture before rounding: float32 `[3, H, W]`, −1…1. */
  readonly tensor: HostTensor;
  readonly metadata: Metadata;
  /** Unknown words, cut-off text and the like; the library does not log. */
  readonly warnings: readonly Warning[];
  /** What the base stage looked at, when it was asked for. */
  readonly attention?: Attention;

  constructor(tensor: HostTensor, metadata: Metadata, warnings: readonly Warning[], attention?: Attention) {
    const [, height = 0, width = 0] = tensor.shape;
    this.width = width;
    this.height = height;
    this.tensor = tensor;
    this.data = rgbOf(float32(tensor.data, [1, ...tensor.shape]));
    this.metadata = metadata;
    this.warnings = warnings;
    if (attention) this.attention = attention.over(this);
  }

  /** A scijs ndarray `[H, W, 3]` over `data` (no copy). */
  ndarray(): NdArray<Uint8Array> {
    return ndarray(this.data, [this.height, this.width, 3]);
  }

  /** PNG bytes. Prompt, seed, plan and all settings are in its text chunks; `parameters` is the metadata as JSON. */
  toPng(): Uint8Array {
    const { prompt, seed, plan, versions } = this.metadata;
    return encodePng(this, {
      Software: Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(', '),
      prompt: typeof prompt === 'string' ? prompt : JSON.stringify(prompt),
      seed: String(seed),
      plan,
      parameters: JSON.stringify(this.metadata),
    });
  }
}
