/*
 * What flows along a tensor of the graph. Constants and Shape chains carry no label.
 *
 *   img    from the picture; carries the stride to it
 *   txt    from text-like inputs; carries which input each key column comes from
 *   joint  picture and text tokens in one sequence (MMDiT, added keys)
 *   scores the product of queries and keys, until Softmax and the product with V: there a site is recorded
 *   other  timesteps, pooled vectors, masks
 */
import type { Node } from './onnx.js';

/** Columns of keys that come from one input; length −1: known at run time. */
export interface Segment {
  readonly input: string;
  readonly length: number;
}

interface Common {
  readonly rank: number;
  /** Element type of TensorProto. */
  readonly type: number;
}

/** Tokens or pixels of the picture. */
export interface ImageLabel extends Common {
  readonly kind: 'img';
  readonly stride: number;
}

/** Tokens of the text. */
export interface TextLabel extends Common {
  readonly kind: 'txt';
  readonly segments: readonly Segment[];
}

/** The size of one axis of one tensor, read at run time. */
export interface Length {
  readonly tensor: string;
  readonly axis: number;
}

/** Both, one behind the other along `axis`. */
export interface JointLabel extends Common {
  readonly kind: 'joint';
  readonly image: ImageLabel;
  readonly text: TextLabel;
  readonly textFirst: boolean;
  readonly imageLength: Length;
  readonly textLength: Length;
  readonly axis: number;
  /** Heads are merged into the batch. */
  readonly merged: boolean;
}

/** Queries times keys. */
export interface ScoreLabel extends Common {
  readonly kind: 'scores';
  readonly query: ImageLabel | JointLabel;
  readonly key: ImageLabel | TextLabel | JointLabel;
  /** The Softmax it went through, and its rank and type there. */
  readonly softmax?: { readonly node: Node } & Common;
}

/** Anything else that depends on an input. */
export interface OtherLabel extends Common {
  readonly kind: 'other';
}

/** Where a tensor comes from. */
export type Label = ImageLabel | TextLabel | JointLabel | ScoreLabel | OtherLabel;

const PRIORITY = { scores: 4, joint: 3, img: 2, txt: 1, other: 0 } as const;

/** The label that wins when tensors meet in an operator that does not tell them apart. */
export const strongest = (labels: readonly Label[]): Label | undefined =>
  labels.reduce<Label | undefined>((best, label) => (!best || PRIORITY[label.kind] > PRIORITY[best.kind] ? label : best), undefined);

/** A label after a Reshape to `rank` axes: where the tokens of a joint sequence are now. */
export function reshapedLabel(label: Label, rank: number): Label {
  if (label.kind !== 'joint' || rank === label.rank) return { ...label, rank };
  const { axis, merged } = label;
  // [B, heads, S, d] → [B·heads, S, d] and back; [B, S, heads, d] → [B, S, heads·d] and rank 5 (rotary pairs) keep their axis.
  if (rank === 3) return { ...label, rank, axis: axis >= 2 ? axis - 1 : axis, merged: merged || axis >= 2 };
  return { ...label, rank, axis: merged ? axis + 1 : axis, merged: false };
}

/** A label after a Transpose. */
export const transposedLabel = (label: Label, perm: readonly number[] | undefined): Label => {
  const order = perm ?? Array.from({ length: label.rank }, (_, i) => label.rank - 1 - i);
  return label.kind === 'joint' ? { ...label, rank: order.length, axis: order.indexOf(label.axis) } : { ...label, rank: order.length };
};

/** The columns that a Slice from `from` to `to` keeps. */
export function slicedSegments(segments: readonly Segment[], from: number, to: number): Segment[] {
  if (segments.some((s) => s.length < 0)) return [...segments];
  const total = segments.reduce((sum, s) => sum + s.length, 0);
  const [start, end] = [from < 0 ? total + from : from, Math.min(total, to < 0 ? total + to : to)];
  let at = 0;
  return segments.flatMap((s) => {
    const [low, high] = [Math.max(start, at), Math.min(end, at + s.length)];
    at += s.length;
    return high > low ? [{ input: s.input, length: high - low }] : [];
  });
}
