import type { Abort } from '../abort.js';
import type { PaintWithWords } from '../regions/paint-with-words.js';
import type { MaybePromise, Tensor } from '../tensor/tensor.js';
import type { TokenSpan } from './spans.js';

/** What one encoder makes of a batch of prompts. */
export interface PromptEmbedding {
  /** `[B, T, C]`; a token of zeros is absent. */
  readonly tokens: Tensor;
  /** `[B, C]`. */
  readonly pooled?: Tensor;
  /** T. */
  readonly length: number;
  /** Per prompt: which characters each token column stands for. */
  readonly spans: readonly (readonly TokenSpan[])[];
  /** Words that the tokenizer does not know. */
  readonly unknown?: readonly string[];
  /** Text that did not fit into T tokens. */
  readonly truncated?: readonly string[];
  /** Text of long prompts that the pooled vector does not stand for: it is the first window's. */
  readonly unpooled?: readonly string[];
  /** `[B, T]`: 1 where a column is a token, 0 at padding; for networks that mask their text. */
  readonly mask?: Tensor;
  /** Where several encoders share the columns: which run belongs to which ('clip+clip-g' where two lie side by side in one column). Absent: all columns are the one encoder's. */
  readonly segments?: readonly { readonly encoder: string; readonly start: number; readonly length: number }[];
}

/** Text → embedding. `length` is T, `width` is C. An encoder of long prompts answers with windows of T columns one after the other. */
export interface PromptEncoder {
  readonly name: string;
  readonly width: number;
  readonly length: number;
  /** How many windows of T columns the longest of the prompts takes. Absent: always one. */
  windows?(prompts: readonly string[]): MaybePromise<number>;
  /** `windows`: give at least so many, so that prompts which go together (positive and negative, several encoders) have as many columns. */
  encode(prompts: readonly string[], options?: { readonly signal?: Abort; readonly windows?: number }): Promise<PromptEmbedding>;
  dispose(): Promise<void>;
}

/** A picture that the composition follows, read by a ControlNet (arXiv 2302.05543) at every call. */
export interface Control {
  /** The network that reads it. */
  readonly network: string;
  /** `[n, C, H, W]` in 0…1, n dividing B, at the size of the finished picture. */
  readonly image: Tensor;
  /** Factor on what the network adds, at an EDM-like σ; 0: it is not called. */
  readonly scale: (sigma: number) => number;
  /** The first residual counts a tenth, the last one whole, evenly in the exponent between: the half of "guess mode" that is not leaving it out of the negative. */
  readonly graded?: boolean;
  /** Per row: whether it applies (default: to all). */
  readonly rows?: readonly boolean[];
}

/**
 * Everything a denoiser is told. A batch of B pictures takes n rows of conditioning, n dividing B: each row serves B/n pictures in a row.
 */
export interface Conditioning {
  /** One per row, or fewer, each serving as many rows in a row: the text that the encoders' spans and the regions' phrases refer to. */
  readonly prompts?: readonly string[];
  /** By encoder: 't5', 'clip', 'clip-image'; a missing one is zeros. */
  readonly embeddings: Readonly<Record<string, PromptEmbedding>>;
  readonly regions?: PaintWithWords;
  /** Per row: whether the regions apply (default: to all). Negative rows of guidance are not painted. */
  readonly painted?: readonly boolean[];
  /** Further channels of the picture's input `[n, C′, H, W]`, after its own: an inpainting network's mask and kept picture, a small picture enlarged. */
  readonly channels?: Tensor;
  /** Further graph inputs by name `[n, …]`, such as a super-resolution stage's low_res. */
  readonly inputs?: Readonly<Record<string, Tensor>>;
  /** Further graph inputs that the whole batch shares, fed as they are. */
  readonly constants?: Readonly<Record<string, Tensor>>;
  /** Pictures that the composition follows. */
  readonly controls?: readonly Control[];
}
