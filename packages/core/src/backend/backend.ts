import type { Abort } from '../abort.js';
import type { Device } from '../tensor/tensor.js';
import type { ModelSource } from './model-source.js';
import type { Session } from './session.js';

/** How a graph is changed before it is loaded: inputs for regions, outputs for attention maps. */
export interface Instrumentation {
  /** Add inputs `regions_s<stride>` and `regions_strength`. */
  readonly regions?: boolean;
  /** What scales the bias: 'max' (the paper, default) or 'std' of the scores, per sample and head. */
  readonly statistic?: 'max' | 'std';
  /** Add outputs `attention_s<stride>` (mean over heads and layers), of these strides only when a list is given, or one per layer. */
  readonly maps?: boolean | 'layer' | readonly number[];
  /** Compute self-attention of the finest resolution in that many runs of queries: the same result but for rounding, with that fraction of its memory. Default 1. */
  readonly slices?: number;
}

/** Options of Backend.load. */
export interface LoadOptions {
  readonly signal?: Abort;
  /** Threads inside one operator. */
  readonly threads?: number;
  readonly instrument?: Instrumentation;
}

/** A driver of some inference library. What it is not: it knows nothing of diffusion. */
export interface Backend {
  readonly name: string;
  readonly device: Device;
  load(model: ModelSource, options?: LoadOptions): Promise<Session>;
  dispose(): Promise<void>;
}
