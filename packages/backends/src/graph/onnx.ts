/* ONNX's messages (onnx.proto3), read as views: ModelProto → GraphProto → NodeProto, TensorProto, ValueInfoProto. */
import { ModelError } from '@ediffi/core';
import { fields, packedVarints, text } from './wire.js';

/** Element types of TensorProto that we name. */
export const FLOAT = 1;
export const INT64 = 7;
export const FLOAT16 = 10;

/** A tensor stored in the file. */
export interface Initializer {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly number[];
  /** raw_data, or undefined when the values are typed fields or outside the file. */
  readonly raw?: Uint8Array;
  readonly typed: Uint8Array;
  readonly external: boolean;
}

/** One attribute of a node; only the kinds that ONNX operators we look at use. */
export interface Attribute {
  readonly name: string;
  readonly i?: number;
  readonly f?: number;
  readonly s?: string;
  readonly ints: readonly number[];
  readonly floats: readonly number[];
  readonly tensor?: Initializer;
  /** Subgraphs (If, Loop), unparsed. */
  readonly graphs: readonly Uint8Array[];
}

/** One operator. `raw` is the payload of its field. */
export interface Node {
  readonly op: string;
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  readonly raw: Uint8Array;
}

/** Graph input or output. */
export interface GraphValue {
  readonly name: string;
  readonly type: number;
  readonly shape: readonly (number | string | null)[];
}

/** A parsed model; weights are views into `bytes`. */
export interface OnnxModel {
  readonly bytes: Uint8Array;
  readonly graph: Uint8Array;
  readonly opset: number;
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Initializer>;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** Types and shapes of inner tensors, where the exporter wrote them down. */
  readonly values: ReadonlyMap<string, GraphValue>;
  readonly functions: number;
}

const packed = (value: Uint8Array, type: number, varint: number): number[] => (type === 0 ? [varint] : packedVarints(value));

const float = (bytes: Uint8Array, at = 0): number => new DataView(bytes.buffer, bytes.byteOffset).getFloat32(at, true);

function parseTensor(message: Uint8Array): Initializer {
  let [name, type, external] = ['', 0, false];
  let raw: Uint8Array | undefined;
  const dims: number[] = [];
  for (const f of fields(message)) {
    if (f.number === 1) dims.push(...packed(f.value, f.type, f.varint));
    else if (f.number === 2) type = f.varint;
    else if (f.number === 8) name = text(f.value);
    else if (f.number === 9) raw = f.value;
    else if (f.number === 14) external = f.varint === 1;
  }
  return { name, type, dims, ...(raw && { raw }), typed: message, external };
}

function parseAttribute(message: Uint8Array): Attribute {
  const out: { name: string; i?: number; f?: number; s?: string; ints: number[]; floats: number[]; tensor?: Initializer; graphs: Uint8Array[] } = { name: '', ints: [], floats: [], graphs: [] };
  for (const f of fields(message)) {
    if (f.number === 1) out.name = text(f.value);
    else if (f.number === 2) out.f = float(f.value);
    else if (f.number === 3) out.i = f.varint;
    else if (f.number === 4) out.s = text(f.value);
    else if (f.number === 5) out.tensor = parseTensor(f.value);
    else if (f.number === 6 || f.number === 11) out.graphs.push(f.value);
    else if (f.number === 7) for (let at = 0; at < f.value.length; at += 4) out.floats.push(float(f.value, at));
    else if (f.number === 8) out.ints.push(...packed(f.value, f.type, f.varint));
  }
  return out;
}

function parseNode(message: Uint8Array): Node {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  let [op, domain, name] = ['', '', ''];
  for (const f of fields(message)) {
    if (f.number === 1) inputs.push(text(f.value));
    else if (f.number === 2) outputs.push(text(f.value));
    else if (f.number === 3) name = text(f.value);
    else if (f.number === 4) op = text(f.value);
    else if (f.number === 7) domain = text(f.value);
    else if (f.number === 5) {
      const attribute = parseAttribute(f.value);
      attributes.set(attribute.name, attribute);
    }
  }
  return { op, domain, name, inputs, outputs, attributes, raw: message };
}

function parseValue(message: Uint8Array): GraphValue {
  let [name, type] = ['', 0];
  const shape: (number | string | null)[] = [];
  for (const f of fields(message)) {
    if (f.number === 1) name = text(f.value);
    if (f.number !== 2) continue;
    for (const t of fields(f.value)) {
      if (t.number !== 1) continue;
      for (const part of fields(t.value)) {
        if (part.number === 1) type = part.varint;
        if (part.number !== 2) continue;
        for (const dim of fields(part.value)) {
          let size: number | string | null = null;
          for (const d of fields(dim.value)) size = d.number === 1 ? d.varint : d.number === 2 ? text(d.value) : size;
          shape.push(size);
        }
      }
    }
  }
  return { name, type, shape };
}

/** Reads the file's frame: versions, and the graph as a view. Throws ModelError for bytes that are no ONNX model or end too early. */
export function openModel(bytes: Uint8Array, name = 'ONNX file'): { readonly graph: Uint8Array; readonly opset: number; readonly functions: number } {
  if (text(bytes.subarray(4, 8)) === 'ORTM') throw new ModelError(`${name} is ONNX Runtime's own .ort format — pass the .onnx file`, name);
  let graph: Uint8Array | undefined;
  let [opset, functions, version] = [0, 0, 0];
  for (const f of fields(bytes, name)) {
    if (f.number === 1) version = f.varint;
    if (f.number === 7) graph = f.value;
    if (f.number === 25) functions++;
    if (f.number !== 8) continue;
    let [domain, v] = ['', 0];
    for (const o of fields(f.value)) {
      if (o.number === 1) domain = text(o.value);
      if (o.number === 2) v = o.varint;
    }
    if (domain === '' || domain === 'ai.onnx') opset = v;
  }
  if (!graph || !version) throw new ModelError(`${name}: no graph inside — the file is truncated or no ONNX model`, name);
  for (const f of fields(graph, name)) if (f.number === 0) break; // walks to the end: a graph that ends early throws
  return { graph, opset, functions };
}

/** Parses the graph without copying its weights. Throws ModelError for bytes that are no ONNX model. */
export function parseModel(bytes: Uint8Array, name = 'ONNX file'): OnnxModel {
  const { graph, opset, functions } = openModel(bytes, name);
  const nodes: Node[] = [];
  const initializers = new Map<string, Initializer>();
  const inputs: GraphValue[] = [];
  const outputs: GraphValue[] = [];
  const values = new Map<string, GraphValue>();
  for (const f of fields(graph, name)) {
    if (f.number === 1) nodes.push(parseNode(f.value));
    else if (f.number === 5) {
      const tensor = parseTensor(f.value);
      initializers.set(tensor.name, tensor);
    } else if (f.number === 11) inputs.push(parseValue(f.value));
    else if (f.number === 12) outputs.push(parseValue(f.value));
    else if (f.number === 13) {
      const inner = parseValue(f.value);
      values.set(inner.name, inner);
    }
  }
  return { bytes, graph, opset, nodes, initializers, inputs: inputs.filter((v) => !initializers.has(v.name)), outputs, values, functions };
}

/** The operators of a subgraph and the names of what it yields. Throws ModelError for weights inside, which are not read. */
export function parseBranch(graph: Uint8Array): { readonly nodes: readonly Node[]; readonly outputs: readonly string[] } {
  const all = [...fields(graph)];
  if (all.some((f) => f.number === 5)) throw new ModelError('a subgraph with weights of its own — export without control flow', 'subgraph');
  return { nodes: all.filter((f) => f.number === 1).map((f) => parseNode(f.value)), outputs: all.filter((f) => f.number === 12).map((f) => parseValue(f.value).name) };
}

/** Operators of a subgraph, nested ones included, and the tensors they read. */
export function* subgraphNodes(graph: Uint8Array): Generator<Node> {
  for (const f of fields(graph)) {
    if (f.number !== 1) continue;
    const node = parseNode(f.value);
    yield node;
    for (const attribute of node.attributes.values()) for (const inner of attribute.graphs) yield* subgraphNodes(inner);
  }
}

/** The tensors a node reads, those that its subgraphs take from outside included. */
export const readsOf = (node: Node): string[] => [...node.inputs, ...[...node.attributes.values()].flatMap(({ graphs }) => graphs.flatMap((graph) => [...subgraphNodes(graph)].flatMap(({ inputs }) => inputs)))];

/** Integer contents of a small int64/int32 tensor. */
export function integers(tensor: Initializer): number[] {
  if (tensor.raw) {
    const view = new DataView(tensor.raw.buffer, tensor.raw.byteOffset, tensor.raw.byteLength);
    const wide = tensor.type === INT64;
    return Array.from({ length: tensor.raw.byteLength / (wide ? 8 : 4) }, (_, i) => (wide ? Number(view.getBigInt64(8 * i, true)) : view.getInt32(4 * i, true)));
  }
  return [...fields(tensor.typed)].filter((f) => f.number === 7 || f.number === 5).flatMap((f) => packed(f.value, f.type, f.varint));
}

/** Float32 contents of a small float tensor. */
export function floatValues(tensor: Initializer): number[] {
  const bytes = tensor.raw ?? [...fields(tensor.typed)].find((f) => f.number === 4)?.value;
  if (!bytes) return [];
  return Array.from({ length: bytes.byteLength / 4 }, (_, i) => float(bytes, 4 * i));
}
