/*
 * Finds cross-attention by what flows where, not by names: labels (see labels.ts) spread forward from the graph's inputs, in one pass.
 * A site is recorded where scores that went through Softmax meet V, so that Softmax elsewhere never matches.
 */
import { CapabilityError } from '@ediffi/core';
import { Constants } from './constants.js';
import { reshapedLabel, slicedSegments, strongest, transposedLabel, type JointLabel, type Label, type ScoreLabel, type Segment, type TextLabel, type ImageLabel } from './labels.js';
import { FLOAT, subgraphNodes, type GraphValue, type Node, type OnnxModel } from './onnx.js';
import { ordered } from './order.js';

/** One attention of picture queries to text keys. */
export interface Site {
  /** The Softmax, or the fused operator that holds it. */
  readonly node: Node;
  readonly form: 'softmax' | 'fused';
  /** 'cross': picture × text only; 'joint': the block of a larger matrix. */
  readonly kind: 'cross' | 'joint';
  readonly stride: number;
  /** 4: [B, heads, tokens, T]; 3: [B·heads, tokens, T]. */
  readonly rank: number;
  /** Element type of the scores. */
  readonly type: number;
  readonly query: ImageLabel | JointLabel;
  readonly key: TextLabel | JointLabel;
  readonly segments: readonly Segment[];
}

/** One attention of the picture to itself that is spelled out. */
export interface SelfSite {
  readonly softmax: Node;
  /** The product of the weights with V. */
  readonly product: Node;
  readonly stride: number;
  readonly rank: number;
}

/** What the graph holds. */
export interface Analysis {
  readonly sites: readonly Site[];
  readonly selfSites: readonly SelfSite[];
  readonly selfAttentions: number;
  readonly image: GraphValue;
  readonly texts: readonly GraphValue[];
  readonly warnings: readonly string[];
  readonly constants: Constants;
  /** Rank of a fused operator's inputs. */
  rankOf(tensor: string): number | undefined;
}

/** Overrides for graphs whose inputs have other names. */
export interface GraphInputs {
  readonly image?: string;
  readonly text?: readonly string[];
}

const IMAGE_NAMES = ['sample', 'latent_sample', 'hidden_states', 'x'];
const TEXT_NAMES = ['encoder_hidden_states', 't5', 'clip', 'clip_image', 'context'];

/** Operators that hold a whole attention inside. */
const FUSED = new Set(['MultiHeadAttention', 'Attention', 'PackedMultiHeadAttention', 'PackedAttention', 'GroupQueryAttention', 'QAttention']);

/** Reads every site. Throws CapabilityError (codes in `detail.code`) when nothing is recognised. */
export function analyse(model: OnnxModel, name = 'graph', names: GraphInputs = {}): Analysis {
  const image = model.inputs.find((v) => (names.image === undefined ? IMAGE_NAMES.includes(v.name) : v.name === names.image));
  const texts = model.inputs.filter((v) => (names.text ?? TEXT_NAMES).includes(v.name));
  if (!image || !texts.length) {
    const looked = `looked for ${names.image ?? `one of ${IMAGE_NAMES.join(', ')}`} and for ${(names.text ?? TEXT_NAMES).join(', ')}`;
    throw new CapabilityError('regions', `${name}: cannot tell picture and text among the inputs ${model.inputs.map((v) => v.name).join(', ')} — ${looked}; pass { image: '<input>', text: ['<input>'] }`, { code: 'AMBIGUOUS_INPUTS', inputs: model.inputs.map((v) => v.name) });
  }
  const walk = new Walk(model, image, texts, name);
  for (const node of ordered(model.nodes)) walk.visit(node);
  if (!walk.sites.length) {
    const inlined = model.functions ? '; the model has local functions: inline them first (onnx.inliner.inline_local_functions)' : '';
    throw new CapabilityError('regions', `${name}: no picture-query × text-key attention found (${walk.selfAttentions} self-attentions; looked for MatMul → Softmax → MatMul with queries from '${image.name}' and keys from ${texts.map((t) => `'${t.name}'`).join(', ')})${inlined}`, { code: 'NO_CROSS_ATTENTION' });
  }
  return { sites: walk.sites, selfSites: walk.selfSites, selfAttentions: walk.selfAttentions, image, texts, warnings: [...walk.warnings], constants: walk.constants, rankOf: (tensor) => walk.rankOf(tensor) };
}

class Walk {
  readonly sites: Site[] = [];
  readonly selfSites: SelfSite[] = [];
  readonly warnings = new Set<string>();
  readonly constants: Constants;
  selfAttentions = 0;
  readonly #labels = new Map<string, Label>();

  constructor(
    readonly model: OnnxModel,
    image: GraphValue,
    texts: readonly GraphValue[],
    readonly name: string,
  ) {
    this.constants = new Constants(model);
    for (const input of model.inputs) {
      const [rank, type] = [input.shape.length, input.type];
      const size = rank >= 3 ? input.shape[1] : 1;
      if (input === image) this.#labels.set(input.name, { kind: 'img', stride: 1, rank, type });
      else if (texts.includes(input)) this.#labels.set(input.name, { kind: 'txt', segments: [{ input: input.name, length: typeof size === 'number' ? size : -1 }], rank, type });
      else this.#labels.set(input.name, { kind: 'other', rank, type });
    }
  }

  rankOf(tensor: string): number | undefined {
    return this.#labels.get(tensor)?.rank;
  }

  visit(node: Node): void {
    const labels = node.inputs.map((input) => this.#labels.get(input));
    const known = [...labels, ...this.#captured(node)].filter((l): l is Label => l !== undefined);
    if (!known.length || ['Shape', 'Size', 'ConstantOfShape', 'Range'].includes(node.op)) return;
    const label = this.#label(node, labels, known);
    node.outputs.forEach((output, i) => {
      const own = Array.isArray(label) ? label[i] : label;
      if (!own || !output) return;
      const written = this.model.values.get(output); // the exporter's word on rank and type, where it left one
      const rank = written?.shape.length;
      this.#labels.set(output, rank && rank !== own.rank ? { ...reshapedLabel(own, rank), type: written.type || own.type } : own);
    });
  }

  /** Labels that a subgraph reads. Attention inside one would be missed silently, so it is refused. */
  #captured(node: Node): (Label | undefined)[] {
    const graphs = [...node.attributes.values()].flatMap((a) => a.graphs);
    const inner = graphs.flatMap((g) => [...subgraphNodes(g)]);
    const captured = inner.flatMap((n) => n.inputs).map((input) => this.#labels.get(input));
    if (captured.some(Boolean) && inner.some((n) => n.op === 'Softmax' || FUSED.has(n.op))) {
      throw new CapabilityError('regions', `${this.name}: ${node.op} '${node.name}' has attention in a subgraph — export without control flow`, { code: 'SUBGRAPH' });
    }
    return captured;
  }

  #label(node: Node, labels: readonly (Label | undefined)[], known: readonly Label[]): Label | Label[] | undefined {
    const [first, second] = labels;
    if (FUSED.has(node.op)) return this.#fused(node, labels);
    switch (node.op) {
      case 'MatMul':
      case 'FusedMatMul':
      case 'Einsum':
        return first && second ? this.#product(first, second, node) : (first ?? second);
      case 'Cast':
        return first && { ...first, type: node.attributes.get('to')?.i ?? first.type };
      case 'Softmax':
        return first?.kind === 'scores' && !first.softmax ? { ...first, softmax: { node, rank: first.rank, type: first.type } } : first;
      case 'Transpose':
        return first && transposedLabel(first, node.attributes.get('perm')?.ints);
      case 'Reshape':
        return first && this.#reshape(first, this.constants.shape(node.inputs[1]));
      case 'Unsqueeze':
      case 'Squeeze': {
        const count = (this.constants.ints(node.inputs[1]) ?? node.attributes.get('axes')?.ints ?? [0]).length;
        return first && { ...first, rank: first.rank + (node.op === 'Squeeze' ? -count : count) };
      }
      case 'Gather': {
        if (!first || this.constants.tensor(node.inputs[1])?.dims.length !== 0) return first;
        const axis = node.attributes.get('axis')?.i ?? 0;
        return first.kind === 'joint' && axis < first.axis ? { ...first, rank: first.rank - 1, axis: first.axis - 1 } : { ...first, rank: first.rank - 1 };
      }
      case 'Gemm':
      case 'Identity':
      case 'GatherElements':
      case 'Expand':
      case 'Tile':
        return first;
      case 'Slice':
        return first && this.#slice(first, node);
      case 'Split':
        return first && this.#split(first, node);
      case 'Concat':
        return this.#concat(node, labels, known);
      case 'Conv':
      case 'FusedConv':
      case 'NhwcConv':
      case 'ConvInteger':
      case 'AveragePool':
      case 'MaxPool':
        return first && this.#scaled(first, node.attributes.get('strides')?.ints.at(-1) ?? 1);
      case 'ConvTranspose':
        return first && this.#scaled(first, 1 / (node.attributes.get('strides')?.ints.at(-1) ?? 1));
      case 'Resize':
      case 'Upsample':
        // Sizes that are computed (diffusers passes them for odd latents) still double: that is all UNets do.
        return first && this.#scaled(first, 1 / (this.constants.floats(node.inputs[node.op === 'Resize' ? 2 : 1])?.at(-1) ?? 2));
      case 'DepthToSpace':
        return first && this.#scaled(first, 1 / (node.attributes.get('blocksize')?.i ?? 1));
      case 'SpaceToDepth':
        return first && this.#scaled(first, node.attributes.get('blocksize')?.i ?? 1);
      default:
        if (/^(Reduce|ArgM|Global)/.test(node.op)) return this.#reduced(node, known[0]!);
        return this.#met(known, node);
    }
  }

  #met(known: readonly Label[], node: Node): Label | undefined {
    const strides = new Set(known.flatMap((l) => (l.kind === 'img' && l.rank > 2 ? [l.stride] : [])));
    if (strides.size > 1) this.warnings.add(`${node.op} '${node.name}' joins pictures of strides ${[...strides].join(' and ')}`);
    const best = strongest(known);
    // Ranks of masks and embeddings are the least certain; they do not outvote the tensor they are added to.
    return best && { ...best, rank: Math.max(...known.filter((l) => best.kind === 'other' || l.kind !== 'other').map((l) => l.rank)) };
  }

  /** What is summed over tokens is neither picture nor text any more: pooled embeddings. */
  #reduced(node: Node, { rank, type }: Label): Label {
    const axes = node.op.startsWith('Arg') ? [0] : (node.attributes.get('axes')?.ints ?? this.constants.ints(node.inputs[1]));
    return { kind: 'other', rank: node.attributes.get('keepdims')?.i === 0 ? Math.max(0, rank - (axes?.length ?? rank)) : rank, type };
  }

  #scaled(label: Label, factor: number): Label {
    return label.kind === 'img' ? { ...label, stride: label.stride * factor } : label;
  }

  #product(a: Label, b: Label, product: Node): Label | undefined {
    if (a.kind === 'scores' && a.softmax) {
      if (a.key.kind === 'img') {
        this.selfAttentions++;
        this.selfSites.push({ softmax: a.softmax.node, product, stride: a.query.kind === 'joint' ? a.query.image.stride : a.query.stride, rank: a.softmax.rank });
      } else this.#record(a, a.softmax, a.key);
      return a.query.kind === 'joint' ? { ...a.query, rank: a.rank, axis: a.rank - 2, merged: a.rank === 3, type: a.type } : { ...a.query, rank: a.rank, type: a.type };
    }
    const rank = Math.max(a.rank, b.rank);
    if ((a.kind === 'img' || a.kind === 'joint') && (b.kind === 'img' || b.kind === 'txt' || b.kind === 'joint')) return { kind: 'scores', query: a, key: b, rank, type: a.type };
    return strongest([a, b]);
  }

  #record(scores: ScoreLabel, { node, rank, type }: NonNullable<ScoreLabel['softmax']>, key: TextLabel | JointLabel): void {
    const axis = node.attributes.get('axis')?.i ?? -1;
    if (axis !== -1 && axis !== rank - 1) throw new CapabilityError('regions', `${this.name}: Softmax '${node.name}' is not over the keys (axis ${axis} of ${rank})`, { code: 'AXIS' });
    if (rank !== 3 && rank !== 4) throw new CapabilityError('regions', `${this.name}: the scores before '${node.name}' have ${rank} axes; 3 or 4 are understood`, { code: 'AXIS' });
    this.#site(node, 'softmax', rank, type, scores.query, key);
  }

  #site(node: Node, form: Site['form'], rank: number, type: number, query: ImageLabel | JointLabel, key: TextLabel | JointLabel): void {
    const { stride } = query.kind === 'joint' ? query.image : query;
    if (!Number.isInteger(stride) || stride < 1) throw new CapabilityError('regions', `${this.name}: attention '${node.name}' works at ${1 / stride} times the picture's size`, { code: 'STRIDE' });
    const { segments } = key.kind === 'joint' ? key.text : key;
    this.sites.push({ node, form, kind: query.kind === 'img' && key.kind === 'txt' ? 'cross' : 'joint', stride, rank, type, query, key, segments });
  }

  #fused(node: Node, [query, key]: readonly (Label | undefined)[]): Label | undefined {
    const keys = key ?? (query?.kind === 'joint' ? query : undefined); // packed weights: one input is queries and keys
    if ((query?.kind === 'img' || query?.kind === 'joint') && (keys?.kind === 'txt' || keys?.kind === 'joint')) this.#site(node, 'fused', 4, query.type || FLOAT, query, keys);
    else if (query?.kind === 'img') this.selfAttentions++;
    return query;
  }

  #reshape(label: Label, target: readonly (number | undefined)[] | undefined): Label {
    if (!target) return label;
    const length = target[1];
    if (label.kind === 'txt' && target.length === 3 && label.rank === 2 && label.segments.length === 1 && length !== undefined && length > 0) {
      return { ...label, rank: 3, segments: [{ input: label.segments[0]!.input, length }] };
    }
    return reshapedLabel(label, target.length);
  }

  #slice(label: Label, node: Node): Label {
    const axes = (this.constants.ints(node.inputs[3]) ?? [0]).map((a) => (a < 0 ? a + label.rank : a));
    const [start] = this.constants.ints(node.inputs[1]) ?? [];
    const [end] = this.constants.ints(node.inputs[2]) ?? [];
    if (label.kind === 'txt' && axes[0] === 1 && label.rank === 3 && start !== undefined && end !== undefined) return { ...label, segments: slicedSegments(label.segments, start, end) };
    if (label.kind !== 'joint' || axes.length !== 1 || axes[0] !== label.axis) return label;
    const parts = this.#parts(label);
    if (start === 0) return parts[0];
    if (end === undefined || end > 2 ** 31 - 2) return parts[1];
    throw new CapabilityError('regions', `${this.name}: Slice '${node.name}' cuts a joint sequence from ${start ?? '?'} to ${end}, which is neither its first nor its second part`, { code: 'JOINT' });
  }

  #parts({ image, text, textFirst, rank, type }: JointLabel): [Label, Label] {
    const [i, t] = [{ ...image, rank, type }, { ...text, rank, type }];
    return textFirst ? [t, i] : [i, t];
  }

  #split(label: Label, node: Node): Label | Label[] {
    const axis = node.attributes.get('axis')?.i ?? 0;
    if (label.kind !== 'joint' || (axis < 0 ? axis + label.rank : axis) !== label.axis) return label;
    if (node.outputs.length === 2) return this.#parts(label);
    throw new CapabilityError('regions', `${this.name}: Split '${node.name}' cuts a joint sequence into ${node.outputs.length}`, { code: 'JOINT' });
  }

  #concat(node: Node, labels: readonly (Label | undefined)[], known: readonly Label[]): Label | undefined {
    const rank = Math.max(...known.map((l) => l.rank));
    const given = node.attributes.get('axis')?.i ?? 0;
    const axis = given < 0 ? given + rank : given;
    const texts = known.filter((l): l is TextLabel => l.kind === 'txt');
    if (rank < 3 || axis === 0 || axis === rank - 1 || !texts.length || known.some((l) => l.kind === 'scores')) return this.#met(known, node);
    if (texts.length === known.length) {
      const segments = labels.map((l, i) => (l?.kind === 'txt' ? l.segments : [{ input: 'constant', length: this.constants.dims(node.inputs[i])?.at(axis - rank) ?? -1 }]));
      return { ...texts[0]!, rank, segments: segments.flat() };
    }
    const [first, second] = labels;
    const [image, text] = first?.kind === 'img' ? [first, second] : [second, first];
    if (labels.length !== 2 || image?.kind !== 'img' || text?.kind !== 'txt') {
      if (known.some((l) => l.kind === 'other')) return { kind: 'other', rank, type: known[0]!.type }; // text and a pooled token: a text-pooling attention
      throw new CapabilityError('regions', `${this.name}: Concat '${node.name}' joins ${labels.map((l) => l?.kind ?? 'constant').join(', ')}; one picture and one text sequence are understood`, { code: 'JOINT' });
    }
    const textFirst = text === first;
    const length = (i: number) => ({ tensor: node.inputs[i]!, axis });
    return { kind: 'joint', image, text, textFirst, imageLength: length(textFirst ? 1 : 0), textLength: length(textFirst ? 0 : 1), axis, merged: false, rank, type: image.type };
  }
}
