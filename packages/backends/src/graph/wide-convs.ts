/*
 * ONNX Runtime 1.30 on WebGPU computes a convolution wrongly when 3 divides its input channels and 4 does not, but for 3 itself: 6, 9, 15, 18 …
 * (docs/decisions; Stable Diffusion's inpainting networks take 9). There the picture and the kernel get channels of zeros, up to the next
 * multiple of 4: the same sum.
 */
import { Constants } from './constants.js';
import { PREFIX } from './emit.js';
import { parseModel, type Node, type OnnxModel } from './onnx.js';
import { concat, field, fields, opening, text } from './wire.js';
import { int64s, node } from './write.js';

/** Whether the runtime gets a convolution of so many input channels wrong. */
const wrong = (channels: number): boolean => channels > 3 && channels % 3 === 0 && channels % 4 !== 0;

/** Channels to add to a convolution's input; 0: none. */
function lacking({ op, domain, inputs, attributes }: Node, constants: Constants): number {
  if (op !== 'Conv' || (domain !== '' && domain !== 'ai.onnx') || (attributes.get('group')?.i ?? 1) !== 1) return 0;
  const [, channels = 0, ...kernel] = constants.dims(inputs[1]) ?? [];
  return wrong(channels) && kernel.length === 2 && kernel.some((size) => size > 1) ? 4 - (channels % 4) : 0;
}

/** The graph with such convolutions widened; the same bytes when it has none. Throws ModelError for what is no ONNX file. */
export function widenConvs(bytes: Uint8Array, name = 'graph'): Uint8Array {
  const model = parseModel(bytes, name);
  const constants = new Constants(model);
  const widened = new Map(model.nodes.flatMap((conv) => (lacking(conv, constants) ? [[conv.raw.byteOffset, padded(conv, lacking(conv, constants))] as const] : [])));
  return widened.size === 0 || model.opset < 11 ? bytes : spliced(model, widened); // before opset 11 Pad takes no sizes as input
}

const padding = (count: number): string => `${PREFIX}wide_${count}`;

/** The nodes in place of a convolution. */
function padded(conv: Node, count: number): Uint8Array[] {
  const wide = conv.inputs.slice(0, 2).map((input, i) => [input, `${PREFIX}wide_${['x', 'w'][i]}_${conv.outputs[0]}`] as const);
  let at = 0; // which input of the node's bytes comes next
  const renamed = concat([...fields(conv.raw)].map((part) => (part.number === 1 && at < 2 && text(part.value) === wide[at]![0] ? field(1, wide[at++]![1]) : part.raw)));
  return [...wide.map(([input, output]) => node('Pad', [input, padding(count)], output)), renamed];
}

function spliced(model: OnnxModel, widened: ReadonlyMap<number, readonly Uint8Array[]>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const f of fields(model.graph)) {
    const nodes = f.number === 1 ? widened.get(f.value.byteOffset) : undefined;
    parts.push(...(nodes ? nodes.map((n) => field(1, n)) : [f.raw]));
  }
  for (const count of [1, 2, 3]) parts.push(int64s(padding(count), [0, 0, 0, 0, 0, count, 0, 0]));
  return concat([...fields(model.bytes)].flatMap((f) => (f.number === 7 ? [opening(7, parts.reduce((sum, part) => sum + part.length, 0)), ...parts] : [f.raw])));
}
