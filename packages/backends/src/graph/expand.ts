/*
 * Fused attention, opened up where text enters: com.microsoft MultiHeadAttention and the standard Attention (opset 23) become
 * MatMul · Softmax · MatMul. What cannot be opened exactly is refused by name. Self-attention stays fused.
 */
import { CapabilityError } from '@ediffi/core';
import type { Analysis, Site } from './analysis.js';
import { attributeOf, type Emitter } from './emit.js';
import { FLOAT, type Node } from './onnx.js';

/** Scores and values of an opened attention, and how to close it again. */
export interface Opened {
  /** [B, heads, tokens, T], scaled and masked. */
  readonly scores: string;
  /** softmax(scores)·V, laid out as the node's output, given the softmax. */
  close(weights: string): string;
}

/** Opens the fused attention of a site. Throws CapabilityError with codes CAUSAL, SOFTCAP, PAST, PADMASK, OUTPUTS, GQA, BOOLMASK, FUSED_SELF. */
export function opened(emit: Emitter, site: Site, analysis: Analysis, name: string): Opened {
  const { node } = site;
  const refuse = (code: string, reason: string): never => {
    throw new CapabilityError('regions', `${name}: ${node.op} '${node.name}': ${reason} — export without attention fusion (no optimizer; opset ≤ 22)`, { code });
  };
  if (node.outputs.slice(1).some(Boolean)) refuse('OUTPUTS', 'its further outputs are in use');
  if (node.op === 'Attention' && node.domain === '') return standard(emit, site, analysis, refuse);
  if (node.op === 'MultiHeadAttention') return multiHead(emit, site, analysis, refuse);
  return refuse(node.op === 'GroupQueryAttention' ? 'GQA' : 'FUSED_SELF', 'queries and keys come out of one packed operator');
}

/**
 * Whether ONNX Runtime's CPU kernel takes the node as it is. In 1.30 it has no keys and values packed in one tensor, and no standard
 * Attention whose mask is one row for all queries: such graphs run opened only.
 */
export function kernelRuns({ node }: Site, analysis: Analysis): boolean {
  const [, key = '', , mask] = node.inputs;
  if (node.op === 'MultiHeadAttention') return analysis.rankOf(key) !== 5;
  const rows = mask ? analysis.constants.model.values.get(mask)?.shape.at(-2) : NaN;
  return rows !== undefined && rows !== null && rows !== 1;
}

type Refuse = (code: string, reason: string) => never;

/** [B, S, heads·d] → [B, S, heads, d] → the order wanted. */
function split(emit: Emitter, input: string, heads: number, perm: readonly number[]): string {
  return emit.op('Transpose', [emit.reshape(input, emit.ints(0, 0, heads, -1))], { perm });
}

const BNSD = [0, 2, 1, 3];
const BNDS = [0, 2, 3, 1];

function standard(emit: Emitter, { node, type }: Site, analysis: Analysis, refuse: Refuse): Opened {
  const [query = '', key = '', value = '', mask, past, pastValue, lengths] = node.inputs;
  const rank = analysis.rankOf(query) ?? 4;
  if (attributeOf(node, 'is_causal', 0)) refuse('CAUSAL', 'it is causal');
  if (node.attributes.get('softcap')?.f) refuse('SOFTCAP', 'it caps its scores');
  if (past || pastValue || lengths) refuse('PAST', 'it has cached or padded keys');
  const heads = attributeOf(node, 'q_num_heads', 0);
  if (heads !== attributeOf(node, 'kv_num_heads', heads)) refuse('GQA', 'queries and keys have different numbers of heads');
  const [q, kT, v] = rank === 3 ? [split(emit, query, heads, BNSD), split(emit, key, heads, BNDS), split(emit, value, heads, BNSD)] : [query, emit.op('Transpose', [key], { perm: [0, 1, 3, 2] }), value];
  let scores = emit.op('MatMul', [scaled(emit, node, q, type), kT]);
  if (mask) {
    const written = analysis.constants.tensor(mask)?.type ?? analysis.constants.model.values.get(mask)?.type;
    if (written !== type) refuse('BOOLMASK', `its mask is not known to be of the scores' type (${written ?? 'unknown'})`);
    scores = emit.op('Add', [scores, mask]);
  }
  return { scores, close: (weights) => (rank === 3 ? joined(emit, emit.op('MatMul', [weights, v])) : emit.op('MatMul', [weights, v])) };
}

function multiHead(emit: Emitter, { node, type }: Site, analysis: Analysis, refuse: Refuse): Opened {
  const [query = '', key = '', value = '', bias, padding, extra, past, pastValue] = node.inputs;
  const heads = attributeOf(node, 'num_heads', 0);
  if (attributeOf(node, 'unidirectional', 0)) refuse('CAUSAL', 'it is causal');
  if (padding) refuse('PADMASK', 'it has a key padding mask');
  if (past || pastValue) refuse('PAST', 'it has cached keys');
  if (!key) refuse('FUSED_SELF', 'queries, keys and values are packed in one tensor');
  const rank = analysis.rankOf(key) ?? 3;
  const part = (input: string, i: number): string => {
    if (!bias) return input;
    // [q | k | v] biases in one vector: thirds of its length, known at run time.
    const third = emit.op('Div', [emit.length({ tensor: bias, axis: 0 }), emit.ints(3)]);
    const slice = emit.op('Slice', [bias, emit.op('Mul', [third, emit.ints(i)]), emit.op('Mul', [third, emit.ints(i + 1)])]);
    return emit.op('Add', [input, slice]);
  };
  const q = split(emit, part(query, 0), heads, BNSD);
  let [kT, v] = ['', ''];
  if (rank === 5) {
    // Keys and values packed [B, L, heads, 2, d]; they carry no bias of their own.
    const pick = (i: number): string => emit.op('Squeeze', [emit.op('Slice', [key, emit.ints(i), emit.ints(i + 1), emit.ints(3)]), emit.ints(3)]);
    [kT, v] = [emit.op('Transpose', [pick(0)], { perm: BNDS }), emit.op('Transpose', [pick(1)], { perm: BNSD })];
  } else if (rank === 4) [kT, v] = [emit.op('Transpose', [key], { perm: [0, 1, 3, 2] }), value]; // [B, heads, L, d]: ready, biased already
  else [kT, v] = [split(emit, part(key, 1), heads, BNDS), split(emit, part(value, 2), heads, BNSD)];
  let scores = emit.op('MatMul', [scaled(emit, node, q, type), kT]);
  if (extra) scores = emit.op('Add', [scores, extra]);
  return { scores, close: (weights) => joined(emit, emit.op('MatMul', [weights, v])) };
}

/** q · scale; the attribute, or 1/√d. */
function scaled(emit: Emitter, node: Node, q: string, type: number): string {
  const written = node.attributes.get('scale')?.f;
  const scale = written ? emit.float(written) : emit.inverseRoot(q, 4);
  return emit.op('Mul', [q, emit.cast(scale, FLOAT, type)]);
}

/** [B, heads, S, d] → [B, S, heads·d]. */
const joined = (emit: Emitter, mixed: string): string => emit.reshape(emit.op('Transpose', [mixed], { perm: BNSD }), emit.ints(0, 0, -1));
