/*
 * Finds cross-attention by what flows where, not by names: labels spread forward from the graph's inputs.
 *
 *   img    from the picture; carries the stride to it
 *   txt    from text-like inputs; carries which input each key column comes from
 *   scores the product of the two, until Softmax and the product with V: there a site is recorded
 *   other  timesteps, pooled vectors, masks
 *
 * Constants and Shape chains carry no label.
 */
import { CapabilityError } from '@ediffi/core';
import { integers, floatValues, type GraphValue, type Node, type OnnxModel } from './onnx.js';

/** Columns of keys that come from one input; length −1: known at run time. */
export interface Segment {
  readonly input: string;
  readonly length: number;
}

interface ImageLabel {
  readonly kind: 'img';
  readonly stride: number;
  readonly rank: number;
}
interface TextLabel {
  readonly kind: 'txt';
  readonly segments: readonly Segment[];
  readonly rank: number;
}
interface ScoreLabel {
  readonly kind: 'scores';
  readonly query: ImageLabel;
  readonly key: ImageLabel | TextLabel;
  readonly rank: number;
  /** The Softmax it went through. */
  readonly softmax?: Node;
}
interface OtherLabel {
  readonly kind: 'other';
  readonly rank: number;
}
type Label = ImageLabel | TextLabel | ScoreLabel | OtherLabel;

/** One cross-attention: the Softmax over text keys. */
export interface Site {
  readonly softmax: Node;
  readonly stride: number;
  /** 4: [B, heads, tokens, T]; 3: [B·heads, tokens, T]. */
  readonly rank: number;
  readonly segments: readonly Segment[];
}

/** What the graph holds. */
export interface Analysis {
  readonly sites: readonly Site[];
  readonly selfAttentions: number;
  readonly image: GraphValue;
  readonly texts: readonly GraphValue[];
}

const IMAGE_NAMES = ['sample', 'latent_sample', 'hidden_states', 'x'];
const TEXT_NAMES = ['encoder_hidden_states', 't5', 'clip', 'clip_image', 'context'];
const PRIORITY = { scores: 3, img: 2, txt: 1, other: 0 } as const;

/** Operators that hold a whole attention inside; they must be expanded before regions can enter. */
const FUSED = new Set(['MultiHeadAttention', 'Attention', 'PackedMultiHeadAttention', 'GroupQueryAttention']);

/** Reads every cross-attention site. Throws CapabilityError for fused or joint attention, or when nothing is recognised. */
export function analyse(model: OnnxModel, name = 'graph'): Analysis {
  const image = model.inputs.find((v) => IMAGE_NAMES.includes(v.name));
  const texts = model.inputs.filter((v) => TEXT_NAMES.includes(v.name));
  if (!image || !texts.length) {
    throw new CapabilityError('regions', `${name}: cannot tell picture and text among the inputs ${model.inputs.map((v) => v.name).join(', ')} — looked for one of ${IMAGE_NAMES.join(', ')} and of ${TEXT_NAMES.join(', ')}`, { code: 'AMBIGUOUS_INPUTS' });
  }
  const walk = new Walk(model, image, texts, name);
  for (const node of model.nodes) walk.visit(node);
  if (!walk.sites.length) {
    const inlined = model.functions ? '; the model has local functions: inline them first (onnx.inliner.inline_local_functions)' : '';
    throw new CapabilityError('regions', `${name}: no picture-query × text-key attention found (${walk.selfAttentions} self-attentions; looked for MatMul → Softmax → MatMul with queries from '${image.name}' and keys from ${texts.map((t) => `'${t.name}'`).join(', ')})${inlined}`, { code: 'NO_CROSS_ATTENTION' });
  }
  return { sites: walk.sites, selfAttentions: walk.selfAttentions, image, texts };
}

class Walk {
  readonly sites: Site[] = [];
  selfAttentions = 0;
  readonly #labels = new Map<string, Label>();
  readonly #constants = new Map<string, Node>();

  constructor(
    readonly model: OnnxModel,
    image: GraphValue,
    texts: readonly GraphValue[],
    readonly name: string,
  ) {
    for (const input of model.inputs) {
      const rank = input.shape.length;
      if (input === image) this.#labels.set(input.name, { kind: 'img', stride: 1, rank });
      else if (texts.includes(input)) {
        const size = rank >= 3 ? input.shape[1] : 1;
        this.#labels.set(input.name, { kind: 'txt', segments: [{ input: input.name, length: typeof size === 'number' ? size : -1 }], rank });
      } else this.#labels.set(input.name, { kind: 'other', rank });
    }
  }

  visit(node: Node): void {
    if ([...node.attributes.values()].some((a) => a.hasGraph) && node.inputs.some((n) => this.#labels.has(n))) {
      throw new CapabilityError('regions', `${this.name}: ${node.op} '${node.name}' has a subgraph that may hold attention — export without control flow`, { code: 'SUBGRAPH' });
    }
    if (node.op === 'Constant') this.#constants.set(node.outputs[0] ?? '', node);
    const label = this.#label(node);
    if (label) for (const output of node.outputs) this.#labels.set(output, label);
  }

  #ints(name: string | undefined): number[] | undefined {
    if (!name) return undefined;
    const tensor = this.model.initializers.get(name) ?? this.#constants.get(name)?.attributes.get('value')?.tensor;
    return tensor && tensor.type !== 1 ? integers(tensor) : undefined;
  }

  #floats(name: string | undefined): number[] | undefined {
    if (!name) return undefined;
    const tensor = this.model.initializers.get(name) ?? this.#constants.get(name)?.attributes.get('value')?.tensor;
    return tensor?.type === 1 ? floatValues(tensor) : undefined;
  }

  #label(node: Node): Label | undefined {
    const labels = node.inputs.map((input) => this.#labels.get(input));
    const [first, second] = labels;
    const known = labels.filter((l): l is Label => l !== undefined);
    if (!known.length && node.op === 'Expand') return this.#constantText(node);
    if (!known.length || node.op === 'Shape' || node.op === 'Size' || node.op === 'ConstantOfShape' || node.op === 'Range') return undefined;
    if (FUSED.has(node.op)) return this.#fused(node, labels);
    switch (node.op) {
      case 'MatMul':
      case 'FusedMatMul':
      case 'Einsum':
        if (first && second) return this.#product(first, second);
        return first ?? second;
      case 'Gemm':
      case 'Cast':
      case 'Identity':
      case 'Gather':
      case 'GatherElements':
      case 'Expand':
        return first;
      case 'Softmax':
        return first?.kind === 'scores' && !first.softmax ? { ...first, softmax: node } : first;
      case 'Transpose':
        return first && { ...first, rank: node.attributes.get('perm')?.ints.length ?? first.rank };
      case 'Reshape':
        return first && this.#reshape(first, this.#ints(node.inputs[1]));
      case 'Unsqueeze':
      case 'Squeeze':
        return first && { ...first, rank: first.rank + (node.op === 'Squeeze' ? -1 : 1) };
      case 'Slice':
        return first && this.#slice(first, node);
      case 'Concat':
        return this.#concat(node, labels);
      case 'Conv':
      case 'AveragePool':
      case 'MaxPool':
        return first?.kind === 'img' ? { ...first, stride: first.stride * (node.attributes.get('strides')?.ints[0] ?? 1) } : first;
      case 'ConvTranspose':
        return first?.kind === 'img' ? { ...first, stride: first.stride / (node.attributes.get('strides')?.ints[0] ?? 1) } : first;
      case 'Resize':
      case 'Upsample': {
        // Sizes that are computed (diffusers passes them for odd latents) still double: that is all UNets do.
        const scales = this.#floats(node.inputs[2]);
        return first?.kind === 'img' ? { ...first, stride: first.stride / (scales?.at(-1) ?? 2) } : first;
      }
      default:
        if (/^(Reduce|ArgM|Global)/.test(node.op)) return { kind: 'other', rank: known[0]!.rank };
        return known.reduce((best, label) => (PRIORITY[label.kind] > PRIORITY[best.kind] ? label : best));
    }
  }

  #product(a: Label, b: Label): Label {
    if (a.kind === 'scores' && a.softmax) {
      if (a.key.kind === 'txt') this.#record(a, a.key);
      else this.selfAttentions++;
      return { ...a.query, rank: a.rank };
    }
    if (a.kind === 'img' && (b.kind === 'img' || b.kind === 'txt')) return { kind: 'scores', query: a, key: b, rank: Math.max(a.rank, b.rank) };
    return PRIORITY[b.kind] > PRIORITY[a.kind] ? b : a;
  }

  #record(scores: ScoreLabel, key: TextLabel): void {
    const { stride } = scores.query;
    if (!Number.isInteger(stride) || stride < 1) throw new CapabilityError('regions', `${this.name}: attention '${scores.softmax!.name}' works at ${stride} times the picture's size`, { code: 'STRIDE' });
    const axis = scores.softmax!.attributes.get('axis')?.i ?? -1;
    if (axis !== -1 && axis !== scores.rank - 1) throw new CapabilityError('regions', `${this.name}: Softmax '${scores.softmax!.name}' is not over the keys (axis ${axis})`, { code: 'AXIS' });
    this.sites.push({ softmax: scores.softmax!, stride, rank: scores.rank, segments: key.segments });
  }

  #fused(node: Node, labels: readonly (Label | undefined)[]): Label | undefined {
    const [query, key] = labels;
    if (query?.kind === 'img' && key?.kind === 'txt') {
      throw new CapabilityError('regions', `${this.name}: ${node.op} '${node.name}' holds the scores inside one operator — export without attention fusion (opset ≤ 22, no optimizer)`, { code: 'FUSED' });
    }
    if (query?.kind === 'img') this.selfAttentions++;
    return query;
  }

  #reshape(label: Label, target: readonly number[] | undefined): Label {
    if (!target) return label;
    const length = target[1];
    if (label.kind === 'txt' && target.length === 3 && label.rank === 2 && label.segments.length === 1 && length !== undefined && length > 0) {
      return { ...label, rank: 3, segments: [{ input: label.segments[0]!.input, length }] };
    }
    return { ...label, rank: target.length };
  }

  /** A learned token that is expanded to the batch. */
  #constantText(node: Node): Label | undefined {
    const dims = this.model.initializers.get(node.inputs[0] ?? '')?.dims ?? this.#castDims(node.inputs[0]);
    return dims?.length === 3 ? { kind: 'txt', segments: [{ input: 'constant', length: dims[1]! }], rank: 3 } : undefined;
  }

  #castDims(name: string | undefined): readonly number[] | undefined {
    const cast = this.model.nodes.find((n) => n.op === 'Cast' && n.outputs[0] === name);
    return cast && this.model.initializers.get(cast.inputs[0] ?? '')?.dims;
  }

  #slice(label: Label, node: Node): Label {
    const axes = this.#ints(node.inputs[3]);
    const [start] = this.#ints(node.inputs[1]) ?? [];
    const [end] = this.#ints(node.inputs[2]) ?? [];
    if (label.kind !== 'txt' || axes?.[0] !== 1 || start === undefined || end === undefined || label.rank < 3) return label;
    const total = label.segments.reduce((sum, s) => sum + s.length, 0);
    const [from, to] = [start < 0 ? total + start : start, Math.min(total, end < 0 ? total + end : end)];
    let at = 0;
    const segments = label.segments.flatMap((s) => {
      const [low, high] = [Math.max(from, at), Math.min(to, at + s.length)];
      at += s.length;
      return high > low ? [{ input: s.input, length: high - low }] : [];
    });
    return { ...label, segments };
  }

  #concat(node: Node, labels: readonly (Label | undefined)[]): Label | undefined {
    const known = labels.filter((l): l is Label => l !== undefined);
    const texts = known.filter((l): l is TextLabel => l.kind === 'txt');
    const onTokens = (node.attributes.get('axis')?.i ?? 0) === 1 || (node.attributes.get('axis')?.i ?? 0) === -2;
    if (onTokens && texts.length === labels.length && texts.every((l) => l.rank >= 3)) {
      return { kind: 'txt', segments: texts.flatMap((l) => l.segments), rank: texts[0]!.rank };
    }
    if (onTokens && texts.length && texts.some((l) => l.rank >= 3) && known.some((l) => l.kind === 'img' && l.rank >= 3)) {
      throw new CapabilityError('regions', `${this.name}: '${node.name}' joins picture and text tokens (joint attention of an MMDiT), which regions do not reach yet`, { code: 'JOINT' });
    }
    return known.reduce((best, label) => (PRIORITY[label.kind] > PRIORITY[best.kind] ? label : best));
  }
}
