/*
 * A text encoder that ends some layers earlier: its final norm reads the state before them ("clip skip"). A transformer's state is a chain of two
 * sums per layer, x + f(x) for attention and for the MLP; it is followed back from the output, by what is computed from what and not by names.
 */
import { CapabilityError, integer } from '@ediffi/core';
import { parseModel, readsOf, type Node, type OnnxModel } from './onnx.js';
import { concat, field, fields, opening, text } from './wire.js';

/** What passes a state on unchanged but for its element type. */
const passes = new Set(['Cast', 'Identity']);

/** Reads the graph backwards. */
class Upstream {
  readonly #makers: ReadonlyMap<string, Node>;

  constructor(readonly model: OnnxModel) {
    this.#makers = new Map(model.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  }

  maker(tensor: string): Node | undefined {
    const node = this.#makers.get(tensor);
    return node && passes.has(node.op) ? this.maker(node.inputs[0]!) : node;
  }

  /** Operators that a tensor is computed from. */
  of(tensor: string): Set<Node> {
    const found = new Set<Node>();
    const open = [tensor];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const node = this.#makers.get(next);
      if (!node || found.has(node)) continue;
      found.add(node);
      open.push(...readsOf(node));
    }
    return found;
  }

  /** x of a node that computes x + f(x); undefined for any other. */
  residual(node: Node | undefined): string | undefined {
    if (node?.op !== 'Add' || node.inputs.length !== 2) return undefined;
    const [a, b] = node.inputs as [string, string];
    const makes = (x: string, f: string): boolean => {
      const maker = this.maker(x);
      return maker !== undefined && maker.op !== 'Constant' && maker !== this.maker(f) && this.of(f).has(maker);
    };
    return makes(a, b) ? a : makes(b, a) ? b : undefined;
  }
}

/**
 * The graph without its last `count` layers: `last_hidden_state` and what is computed from it come from the state before them. Operators and weights
 * that nobody needs any more are left out. Throws ModelError for what is no ONNX file, CapabilityError for a graph whose layers are not found.
 */
export function skipLayers(bytes: Uint8Array, count: number, name = 'graph'): Uint8Array {
  if (integer('layers to skip', count, 0) === 0) return bytes;
  const model = parseModel(bytes, name);
  const upstream = new Upstream(model);
  const refuse = (why: string): never => {
    throw new CapabilityError('clip skip', `${name}: ${why} — use the export before optimisation, with all of its layers`, { code: 'LAYERS', count });
  };
  const reached = upstream.of('last_hidden_state');
  const end = [...model.nodes].reverse().find((node) => reached.has(node) && upstream.residual(node) !== undefined);
  if (!end) return refuse(`no layers (sums x + f(x)) lead to an output last_hidden_state; it has ${model.outputs.map((output) => output.name).join(', ')}`);
  const last = end.outputs[0]!;
  let state = last;
  for (let sums = 0; sums < 2 * count; sums++) state = upstream.residual(upstream.maker(state)) ?? refuse(`${count} layers are to be left out, but it has only ${Math.floor(sums / 2)}`);
  return shortened(model, last, state);
}

/** The file with every reader of `from` reading `to`, without what is then needed for no output. */
function shortened(model: OnnxModel, from: string, to: string): Uint8Array {
  const makers = new Map(model.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const needed = new Set<string>();
  const open = model.outputs.map((output) => output.name);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (needed.has(next)) continue;
    needed.add(next);
    const node = makers.get(next);
    if (node) open.push(...node.outputs.filter((output) => output !== next), ...readsOf(node).map((input) => (input === from ? to : input)));
  }
  const nodes = new Map(model.nodes.map((node) => [node.raw.byteOffset, node]));
  const weights = new Map([...model.initializers.values()].map((tensor) => [tensor.typed.byteOffset, tensor.name]));
  const parts: Uint8Array[] = [];
  for (const f of fields(model.graph)) {
    const node = f.number === 1 ? nodes.get(f.value.byteOffset) : undefined;
    if (node && !node.outputs.some((output) => needed.has(output))) continue;
    if (f.number === 5 && !needed.has(weights.get(f.value.byteOffset) ?? '')) continue;
    parts.push(node?.inputs.includes(from) ? field(1, concat([...fields(node.raw)].map((part) => (part.number === 1 && text(part.value) === from ? field(1, to) : part.raw)))) : f.raw);
  }
  return concat([...fields(model.bytes)].flatMap((f) => (f.number === 7 ? [opening(7, parts.reduce((sum, part) => sum + part.length, 0)), ...parts] : [f.raw])));
}
