import type { Tensor } from '@ediffi/core';
import type { StepAttention } from './attention/attention.js';
import type { Picture } from './pictures/png.js';

/** One step of a generation. */
export interface GenerationStep {
  readonly stage: string;
  /** The expert that answered at `sigma`. */
  readonly expert: string;
  /** Position in the whole generation, over all stages: 0 … count − 1. */
  readonly index: number;
  readonly count: number;
  /** Noise before and after the step. */
  readonly sigma: number;
  readonly sigmaNext: number;
  /** The pictures, or their latents, after the step `[B, C, h, w]`, at `sigmaNext`, in the solver's own scale; valid until the next step. */
  readonly x: Tensor;
  /** What the network looked at, one per picture; in the base stage, when asked for, at watched σ. */
  readonly attention?: readonly StepAttention[];
  /** What the network expects the finished picture to be, decoded when asked for; call it before taking the next step. Rejects with OptionError for a picture that is not in the batch. */
  preview(picture?: number): Promise<Picture>;
}
