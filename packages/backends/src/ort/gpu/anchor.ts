/*
 * ONNX Runtime destroys its WebGPU device when the last session is released, and with it every tensor that was kept. A session of a
 * few bytes that nobody releases holds it as long as the worker lives.
 */
import { modelBytes, node, valueInfo } from '../../graph/write.js';

/** A request that makes the session; its number is none that a model gets. */
export const anchor = (): Readonly<Record<string, unknown>> => ({
  id: 0,
  model: modelBytes({ nodes: [node('Identity', ['x'], 'y')], inputs: [valueInfo('x', ['n'])], outputs: [valueInfo('y', ['n'])] }),
  options: { executionProviders: ['webgpu'], logSeverityLevel: 3 },
});
