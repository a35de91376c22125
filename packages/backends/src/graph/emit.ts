import { FLOAT, type Node } from './onnx.js';
import { branchGraph, constantNode, int64s, node, type AttributeValue } from './write.js';
import type { Length } from './labels.js';

/** What everything inserted is named by; finding it means: already instrumented. */
export const PREFIX = 'ediffi/';

/** The end of an axis, for Slice. */
const END = 2 ** 31 - 1;

/** Collects inserted nodes and the small integer tensors they take as inputs. */
export class Emitter {
  nodes: Uint8Array[] = [];
  readonly #integers = new Map<string, readonly number[]>();
  #count = 0;

  constructor(readonly opset: number) {}

  /** Nodes since the last call. */
  take(): Uint8Array[] {
    const { nodes } = this;
    this.nodes = [];
    return nodes;
  }

  /** Initializer fields for the graph. */
  initializers(): Uint8Array[] {
    return [...this.#integers].map(([name, values]) => int64s(name, values));
  }

  /** An int64 tensor `[values.length]`. */
  ints(...values: number[]): string {
    const name = `${PREFIX}ints_${values.join('_')}`;
    this.#integers.set(name, values);
    return name;
  }

  /** One float32. */
  float(value: number): string {
    const name = this.fresh('float');
    this.nodes.push(constantNode(name, value));
    return name;
  }

  fresh(what: string): string {
    return `${PREFIX}${what}_${this.#count++}`;
  }

  /** A node; returns its output's name. */
  op(op: string, inputs: readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}, output = this.fresh(op.toLowerCase())): string {
    this.nodes.push(node(op, inputs, output, attributes));
    return output;
  }

  /** What `make` emits, as a branch of its own; `make` returns the tensor it yields, of element type `type`. */
  branch(type: number, make: () => string): Uint8Array {
    const outer = this.take();
    const output = make();
    const graph = branchGraph(this.nodes, output, type);
    this.nodes = outer;
    return graph;
  }

  /** A reduction over `axes`: they were an attribute before opset 18 and are an input since (ReduceSum: since 13). */
  reduce(op: string, input: string, ...axes: number[]): string {
    const asInput = this.opset >= 18 || op === 'ReduceSum';
    return asInput ? this.op(op, [input, this.ints(...axes)], { keepdims: 1 }) : this.op(op, [input], { axes, keepdims: 1 });
  }

  cast(input: string, from: number, to: number): string {
    return from === to ? input : this.op('Cast', [input], { to });
  }

  reshape(input: string, ...parts: string[]): string {
    return this.op('Reshape', [input, parts.length === 1 ? parts[0]! : this.op('Concat', parts, { axis: 0 })]);
  }

  /** The size of one axis, int64 [1]. */
  length({ tensor, axis }: Length): string {
    const shape = this.op('Shape', [tensor]);
    return this.op('Slice', [shape, this.ints(axis), this.ints(axis + 1)]);
  }

  /** The first (or last) `length` entries of each given axis. */
  ends(input: string, cuts: readonly { readonly axis: number; readonly length: string; readonly last: boolean }[]): string {
    if (!cuts.length) return input;
    const join = (parts: string[]): string => (parts.length === 1 ? parts[0]! : this.op('Concat', parts, { axis: 0 }));
    const starts = join(cuts.map(({ length, last }) => (last ? this.op('Neg', [length]) : this.ints(0))));
    const stops = join(cuts.map(({ length, last }) => (last ? this.ints(END) : length)));
    return this.op('Slice', [input, starts, stops, this.ints(...cuts.map((c) => c.axis))]);
  }

  /** 1/√d of the last axis, float32 [1]. */
  inverseRoot(input: string, rank: number): string {
    const width = this.op('Cast', [this.length({ tensor: input, axis: rank - 1 })], { to: FLOAT });
    return this.op('Reciprocal', [this.op('Sqrt', [width])]);
  }
}

/** A copy of an attribute's number, or its default. */
export const attributeOf = (node: Node, name: string, fallback: number): number => node.attributes.get(name)?.i ?? fallback;
