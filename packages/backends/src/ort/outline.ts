import { ModelError, type DType, type ModelSource, type ValueInfo } from '@ediffi/core';
import { parseModel, type GraphValue } from '../graph/onnx.js';
import { inspectGraph, type GraphReport } from '../graph/index.js';
import { sourceGraph } from './source-graph.js';

/** What a graph takes and gives, known before it is loaded. */
export interface GraphOutline {
  readonly name: string;
  readonly opset: number;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** Elements of all stored tensors. */
  readonly parameters: number;
  /** Where text meets the picture. Throws CapabilityError when that is nowhere. */
  sites(): GraphReport;
}

const types: Readonly<Record<number, DType>> = { 1: 'float32', 2: 'uint8', 6: 'int32', 7: 'int64', 9: 'bool', 10: 'float16' };

/** Reads a graph's frame; weights stay where they are. Rejects with ModelError for files that are missing or damaged, or take element types no tensor here has. */
export async function graphOutline(source: ModelSource): Promise<GraphOutline> {
  const { bytes } = await sourceGraph(source);
  const { name } = source;
  const model = parseModel(bytes, name);
  const info = ({ name: value, type, shape }: GraphValue): ValueInfo => {
    const dtype = types[type];
    if (!dtype) throw new ModelError(`${name}: '${value}' has element type ${type}, which is none of ${Object.values(types).join(', ')} — export it in float32 or float16`, name);
    return { name: value, dtype, shape };
  };
  const parameters = [...model.initializers.values()].reduce((sum, { dims }) => sum + dims.reduce((product, n) => product * n, 1), 0);
  return { name, opset: model.opset, inputs: model.inputs.map(info), outputs: model.outputs.map(info), parameters, sites: () => inspectGraph(bytes, name) };
}
