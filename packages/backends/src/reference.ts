/*
 * A slow, plain interpreter of the ONNX operators that the embedded model's graphs use: what a graph means, in float64, without any
 * runtime. The oracle for other backends, and the fallback that needs nothing installed. Not for pictures: a hundred times slower.
 */
import { BackendError, CapabilityError, cpu, DisposedError, halfToNumber, hostTensor, numberToHalf, type Backend, type DataOf, type DType, type Session, type Tensor, type ValueInfo } from '@ediffi/core';
import { instrument, type Instrumented } from './graph/index.js';
import { parseBranch, parseModel, type Node, type OnnxModel } from './graph/onnx.js';
import { ordered } from './graph/order.js';
import { checkFeeds } from './ort/feeds.js';
import { abortable, verifiedBytes } from './ort/source.js';
import { attentions } from './reference/attention.js';
import { convolutions } from './reference/conv.js';
import { elementwise } from './reference/elementwise.js';
import { linear } from './reference/linear.js';
import { normalizations } from './reference/normalize.js';
import type { Op } from './reference/op.js';
import { reductions } from './reference/reduce.js';
import { resizes } from './reference/resize.js';
import { shapes } from './reference/shapes.js';
import { dtypes, stored, type Value } from './reference/value.js';

const operators = new Map<string, Op>(Object.entries({ ...elementwise, ...shapes, ...linear, ...convolutions, ...normalizations, ...reductions, ...resizes, ...attentions }));

const isStandard = ({ domain }: Node): boolean => domain === '' || domain === 'ai.onnx';

/** By name in the standard domain; other domains are another language, with operators of the same names. */
const operatorOf = (node: Node): Op | undefined => (isStandard(node) ? operators.get(node.op) : undefined);

/** If runs one of two subgraphs; only the one that is taken has to be known. */
const isIf = (node: Node): boolean => isStandard(node) && node.op === 'If';

function lack(name: string, nodes: readonly Node[]): CapabilityError {
  const lacking = [...new Set(nodes.map((n) => (n.domain ? `${n.domain}.${n.op}` : n.op)))];
  return new CapabilityError('reference backend', `${name}: operators ${lacking.join(', ')} are not supported — use ort-node`, { code: 'OPERATORS', operators: lacking });
}

const asValue = async (tensor: Tensor): Promise<Value> => {
  const { data, shape, dtype } = await tensor.toHost();
  const number = dtype === 'float16' ? (bits: number | bigint): number => halfToNumber(Number(bits)) : Number;
  return { shape, dtype, data: Float64Array.from(data as ArrayLike<number | bigint>, number) };
};

function asTensor({ data, shape, dtype }: Value): Tensor {
  const make: Record<DType, () => DataOf[DType]> = {
    float32: () => Float32Array.from(data),
    float16: () => Uint16Array.from(data, numberToHalf),
    int32: () => Int32Array.from(data),
    int64: () => BigInt64Array.from(data, BigInt),
    uint8: () => Uint8Array.from(data),
    bool: () => Uint8Array.from(data),
  };
  if (dtype === 'float64') throw new CapabilityError('reference backend', 'float64 outputs are not supported — cast to float32 in the graph');
  return hostTensor(make[dtype](), shape, dtype);
}

const infoOf = (values: OnnxModel['inputs'], name: string): ValueInfo[] =>
  values.map((v) => {
    const dtype = dtypes[v.type];
    if (!dtype || dtype === 'float64') throw new CapabilityError('reference backend', `${name}: '${v.name}' has element type ${v.type}, which is not supported`);
    return { name: v.name, dtype, shape: v.shape };
  });

/** The pure TypeScript backend. Loading throws CapabilityError naming the operators it lacks. */
export function reference(): Backend {
  let disposed = false;
  return {
    name: 'reference',
    device: cpu,
    async load(model, { instrument: wanted, signal } = {}) {
      if (disposed) throw new DisposedError('the reference backend');
      signal?.throwIfAborted();
      const plain = await abortable(verifiedBytes(model), signal);
      const changed = wanted && (wanted.regions || wanted.maps || (wanted.slices ?? 1) !== 1) ? instrument(plain, wanted, model.name) : undefined;
      const parsed = parseModel(changed?.bytes ?? plain, model.name);
      const lacking = parsed.nodes.filter((n) => !isIf(n) && !operatorOf(n));
      if (lacking.length) throw lack(model.name, lacking);
      return sessionOf(model.name, parsed, changed, () => disposed);
    },
    dispose: async () => void (disposed = true),
  };
}

function sessionOf(name: string, model: OnnxModel, changed: Instrumented | undefined, closed: () => boolean): Session {
  const weights = new Map([...model.initializers].map(([key, tensor]) => [key, stored(tensor)]));
  const inputs = infoOf(model.inputs, name);
  const nodes = ordered(model.nodes);
  let ended = false;
  return {
    name,
    inputs,
    outputs: infoOf(model.outputs, name),
    ...(changed && { sites: changed.sites }),
    async run(feeds, { signal } = {}) {
      if (ended || closed()) throw new DisposedError(name);
      signal?.throwIfAborted();
      checkFeeds('reference', name, inputs, feeds, changed);
      const values = new Map<string, Value>(weights);
      for (const [key, tensor] of Object.entries(feeds)) values.set(key, await asValue(tensor));
      let turn = performance.now();
      const evaluate = async (list: readonly Node[]): Promise<void> => {
        for (const node of list) {
          if (performance.now() - turn > 10) {
            await new Promise((resolve) => setTimeout(resolve)); // timers tick, abort is heard
            signal?.throwIfAborted();
            turn = performance.now();
          }
          const results = isIf(node) ? await taken(node) : applied(node);
          node.outputs.forEach((key, i) => results[i] && values.set(key, results[i]));
        }
      };
      const taken = async (node: Node): Promise<(Value | undefined)[]> => {
        const branch = parseBranch(node.attributes.get(values.get(node.inputs[0]!)!.data[0] ? 'then_branch' : 'else_branch')!.graphs[0]!);
        await evaluate(ordered(branch.nodes));
        return branch.outputs.map((key) => values.get(key));
      };
      const applied = (node: Node): (Value | undefined)[] => {
        const operator = operatorOf(node);
        if (!operator) throw lack(name, [node]);
        try {
          return operator(node.inputs.map((key) => (key ? values.get(key) : undefined)), node.attributes, node.outputs.length);
        } catch (cause) {
          throw cause instanceof TypeError ? new BackendError('reference', `${name}: ${node.op} '${node.name}' failed: ${cause.message}`, {}, { cause }) : cause;
        }
      };
      await evaluate(nodes);
      return Object.fromEntries(model.outputs.map(({ name: key }) => [key, asTensor(values.get(key)!)]));
    },
    dispose: async () => void (ended = true),
  };
}
