/* Writing ONNX messages: nodes, small tensors, typed values, and whole little models for tests. */
import { FLOAT, INT64 } from './onnx.js';
import { concat, field, writeVarint } from './wire.js';

/** Value of an attribute: an integer, integers, a string, one float, or a GraphProto's payload. */
export type AttributeValue = number | readonly number[] | string | { readonly float: number } | { readonly graph: Uint8Array };

function attribute(name: string, value: AttributeValue): Uint8Array {
  if (typeof value === 'number') return concat([field(1, name), field(3, value), field(20, 2)]);
  if (typeof value === 'string') return concat([field(1, name), field(4, value), field(20, 3)]);
  if ('float' in value) return concat([field(1, name), writeVarint((2 << 3) | 5), new Uint8Array(Float32Array.of(value.float).buffer), field(20, 1)]);
  if ('graph' in value) return concat([field(1, name), field(6, value.graph), field(20, 5)]);
  return concat([field(1, name), ...value.map((v) => field(8, v)), field(20, 7)]);
}

/** Payload of a NodeProto; its name is its (first) output's. */
export const node = (op: string, inputs: readonly string[], outputs: string | readonly string[], attributes: Readonly<Record<string, AttributeValue>> = {}): Uint8Array => {
  const all = typeof outputs === 'string' ? [outputs] : outputs;
  return concat([...inputs.map((i) => field(1, i)), ...all.map((o) => field(2, o)), field(3, all[0] ?? ''), field(4, op), ...Object.entries(attributes).map(([name, value]) => field(5, attribute(name, value)))]);
};

/** A Constant node that holds one float. */
export function constantNode(output: string, value: number): Uint8Array {
  const tensor = concat([field(1, 1), field(2, FLOAT), field(9, new Uint8Array(Float32Array.of(value).buffer))]);
  return concat([field(2, output), field(3, output), field(4, 'Constant'), field(5, concat([field(1, 'value'), field(5, tensor), field(20, 4)]))]);
}

/** Payload of a TensorProto from raw little-endian bytes. */
export const tensor = (name: string, type: number, dims: readonly number[], raw: Uint8Array): Uint8Array =>
  concat([...dims.map((d) => field(1, d)), field(2, type), field(8, name), field(9, raw)]);

/** A graph's initializer field: int64 `[values.length]`. */
export const int64s = (name: string, values: readonly number[]): Uint8Array => field(5, tensor(name, INT64, [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer)));

/** A graph's initializer field: float32. */
export const float32s = (name: string, dims: readonly number[], values: ArrayLike<number>): Uint8Array => field(5, tensor(name, FLOAT, dims, new Uint8Array(Float32Array.from(values).buffer)));

/** Payload of a ValueInfoProto; a string is a symbolic size, no sizes at all a shape left to inference. */
export const valueInfo = (name: string, dims: readonly (string | number)[] | undefined, type = FLOAT): Uint8Array => {
  const shape = dims && field(2, concat(dims.map((d) => field(1, typeof d === 'number' ? field(1, d) : field(2, d)))));
  return concat([field(1, name), field(2, field(1, concat([field(1, type), ...(shape ? [shape] : [])])))]);
};

/** Payload of a branch's GraphProto: it reads the outer graph's tensors and yields one. */
export const branchGraph = (nodes: readonly Uint8Array[], output: string, type: number): Uint8Array => concat([...nodes.map((n) => field(1, n)), field(2, output), field(12, valueInfo(output, undefined, type))]);

/** A whole model, of opset 18 unless told. */
export const modelBytes = (parts: { nodes: readonly Uint8Array[]; initializers?: readonly Uint8Array[]; inputs: readonly Uint8Array[]; outputs: readonly Uint8Array[]; opset?: number }): Uint8Array => {
  const graph = concat([...parts.nodes.map((n) => field(1, n)), field(2, 'graph'), ...(parts.initializers ?? []), ...parts.inputs.map((i) => field(11, i)), ...parts.outputs.map((o) => field(12, o))]);
  return concat([field(1, 8), field(7, graph), field(8, concat([field(1, ''), field(2, parts.opset ?? 18)]))]);
};
