import type { HostTensor } from '../tensor/tensor.js';

/** One phrase of the prompt and where it shall be. */
export interface Region {
  readonly phrase: string;
  /** Which of several equal phrases, from 0; default: all of them. */
  readonly occurrence?: number;
  /** `[H, W]`, 0…1, any size. */
  readonly mask: HostTensor;
  /** Multiplies the mask; negative values keep the phrase away. Default 1. */
  readonly weight?: number;
}
