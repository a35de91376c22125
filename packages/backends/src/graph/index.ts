import { parseModel } from './onnx.js';
import { analyse, type Segment } from './analysis.js';

export { instrument, type Instrumented } from './instrument.js';

/** What a graph offers to regions and attention maps. */
export interface GraphReport {
  readonly opset: number;
  readonly image: string;
  readonly texts: readonly string[];
  readonly selfAttentions: number;
  readonly sites: readonly { readonly name: string; readonly stride: number; readonly rank: number; readonly columns: readonly Segment[] }[];
}

/** Lists the cross-attention sites of an ONNX file without loading it. Throws ModelError, or CapabilityError when there are none. */
export function inspectGraph(bytes: Uint8Array, name = 'graph'): GraphReport {
  const model = parseModel(bytes, name);
  const { sites, selfAttentions, image, texts } = analyse(model, name);
  return {
    opset: model.opset,
    image: image.name,
    texts: texts.map((t) => t.name),
    selfAttentions,
    sites: sites.map((s) => ({ name: s.softmax.name, stride: s.stride, rank: s.rank, columns: s.segments })),
  };
}
