import type { Abort } from '../abort.js';
import type { Device, DType, Tensor } from '../tensor/tensor.js';

/** Name, element type and shape of a graph input or output; a string or null is a size known at run time. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string | null)[];
}

/** What instrumentation found and added. */
export interface GraphSites {
  /** Which graph input (or 'constant') each run of key columns comes from, in key order. */
  readonly columns: readonly { readonly input: string; readonly offset: number; readonly length: number }[];
  /** One entry per attention resolution, named by its stride (rows and columns cannot be told from a token count). */
  readonly strides: readonly {
    readonly stride: number;
    readonly layers: number;
    /** Input `regions_s<stride>` `[1 or B, 1 or heads, tokens, T]`. */
    readonly input?: string;
    /** Output `attention_s<stride>` `[B, tokens, T]`. */
    readonly map?: string;
  }[];
  /** Input `regions_strength` `[1 or B, 1, 1, 1]`. */
  readonly strength?: string;
  /** What the graph multiplies the strength with; regions made for the other are refused. */
  readonly statistic?: 'max' | 'std';
}

/** A loaded graph. */
export interface Session {
  readonly name: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Where its answers stay, and feeds need no copy from. Absent: the host. */
  readonly device?: Device;
  /** Present when the graph was instrumented. */
  readonly sites?: GraphSites;
  /** Unknown or missing feeds, wrong types and shapes are refused; abort rejects with the signal's reason. */
  run(feeds: Readonly<Record<string, Tensor>>, options?: { readonly signal?: Abort }): Promise<Record<string, Tensor>>;
  /** Idempotent. */
  dispose(): Promise<void>;
}
