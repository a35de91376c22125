/*
 * Self-attention in runs of queries: rows of softmax(QKᵀ)V do not depend on each other, so that O = Concatᵢ softmax(QᵢKᵀ)V is the same (but for rounding)
 * with 1/slices of the score matrix in memory at a time. At 64×64 latents, 8 heads and batch 2 that matrix takes 1 GiB, twice.
 */
import { CapabilityError } from '@ediffi/core';
import type { Analysis } from './analysis.js';
import type { Emitter } from './emit.js';
import type { Node } from './onnx.js';

/** What stands for the nodes of a self-attention, by the byte offset of each in the file. */
export type Replacements = Map<number, Uint8Array[]>;

/** One self-attention that can be sliced. */
interface Attention {
  readonly scores: Node;
  readonly softmax: Node;
  readonly product: Node;
  readonly rank: number;
}

/** The self-attentions of the finest resolution, or why they cannot be sliced. */
function finest({ selfSites }: Pick<Analysis, 'selfSites'>, nodes: readonly Node[]): { readonly stride: number; readonly attentions: readonly Attention[] } | string {
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const readers = new Map<string, number>();
  for (const node of nodes) for (const input of node.inputs) readers.set(input, (readers.get(input) ?? 0) + 1);
  if (!selfSites.length) return 'no self-attention of that form found';
  const stride = Math.min(...selfSites.map((site) => site.stride));
  const attentions: Attention[] = [];
  for (const { softmax, product, rank } of selfSites.filter((site) => site.stride === stride)) {
    const scores = producers.get(softmax.inputs[0]!);
    const alone = [softmax.inputs[0]!, softmax.outputs[0]!].every((tensor) => readers.get(tensor) === 1);
    if (scores?.op !== 'MatMul' || product.op !== 'MatMul' || product.inputs[0] !== softmax.outputs[0] || !alone) return `'${softmax.name}' is between ${scores?.op ?? 'an input'} and ${product.op}, or read elsewhere`;
    attentions.push({ scores, softmax, product, rank });
  }
  return { stride, attentions };
}

/** Stride of the self-attentions that `slices` works on; undefined where it cannot. */
export function slicedStride(analysis: Pick<Analysis, 'selfSites'>, nodes: readonly Node[]): number | undefined {
  const found = finest(analysis, nodes);
  return typeof found === 'string' ? undefined : found.stride;
}

/**
 * Slices the self-attentions of the finest resolution, which need more memory than all others together; adds what stands for their nodes.
 * Throws CapabilityError unless each of them is MatMul → Softmax → MatMul.
 */
export function sliceQueries(emit: Emitter, analysis: Analysis, nodes: readonly Node[], slices: number, replaced: Replacements, name: string): void {
  if (slices === 1) return;
  const found = finest(analysis, nodes);
  if (typeof found === 'string') throw new CapabilityError('slices', `${name}: ${found}; self-attention is sliced where it is MatMul → Softmax → MatMul — load it without slices, or export it with scaled_dot_product_attention and an opset below 23`, { code: 'SLICES' });
  for (const attention of found.attentions) {
    sliced(emit, attention, slices);
    replaced.set(attention.product.raw.byteOffset, emit.take());
    for (const gone of [attention.scores, attention.softmax]) replaced.set(gone.raw.byteOffset, []);
  }
}

function sliced(emit: Emitter, { scores, softmax, product, rank }: Attention, slices: number): void {
  const [query, key] = scores.inputs as [string, string];
  const axis = rank - 2;
  const length = emit.length({ tensor: query, axis });
  const bounds = Array.from({ length: slices + 1 }, (_, i) => emit.op('Div', [emit.op('Mul', [length, emit.ints(i)]), emit.ints(slices)]));
  const parts = Array.from({ length: slices }, (_, i) => {
    const rows = emit.op('Slice', [query, bounds[i]!, bounds[i + 1]!, emit.ints(axis)]);
    const weights = emit.op('Softmax', [emit.op('MatMul', [rows, key])], { axis: softmax.attributes.get('axis')?.i ?? -1 });
    return emit.op('MatMul', [weights, product.inputs[1]!]);
  });
  emit.op('Concat', parts, { axis }, product.outputs[0]!);
}
