/* Paint-with-words and attention maps on a plain export: bias.ts says what is inserted, here it is spliced into the file. */
import { CapabilityError, integer, type GraphSites, type Instrumentation } from '@ediffi/core';
import { analyse, type GraphInputs, type Site } from './analysis.js';
import { biased, headMean } from './bias.js';
import { Emitter, PREFIX } from './emit.js';
import { kernelRuns, opened } from './expand.js';
import { parseModel, type Node, type OnnxModel } from './onnx.js';
import { sliceQueries } from './slices.js';
import { concat, field, fields, opening } from './wire.js';
import { valueInfo } from './write.js';

/** An instrumented graph and what was added to it. */
export interface Instrumented {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sites: GraphSites;
  /** The graph input that is the picture. */
  readonly image: string;
}

/** The most that fits one protobuf message. */
const MAX_BYTES = 2 ** 31 - 1;

/**
 * The graph with inputs `regions_s<stride>` `[1 or B, 1 or heads, tokens, T]`, `regions_strength` `[1 or B, 1, 1, 1]` and outputs
 * `attention_s<stride>` `[B, tokens, T]` (or `attention_<layer>_s<stride>`) as asked, and with self-attention in slices. Untouched bytes
 * stay as they are. Throws ModelError for what is no ONNX file, CapabilityError with a `detail.code` for what cannot be done exactly.
 */
export function instrument(bytes: Uint8Array, options: Instrumentation & GraphInputs, name = 'graph'): Instrumented {
  if (bytes.length >= MAX_BYTES) throw new CapabilityError('regions', `${name}: ${bytes.length} bytes in one file, protobuf ends at 2 GiB — save it with external data`, { code: 'TOO_LARGE' });
  const model = parseModel(bytes, name);
  checkChangeable(model, name);
  const analysis = analyse(model, name, options);
  const { sites, image } = analysis;
  const strides = [...new Set(sites.map((s) => s.stride))].sort((a, b) => a - b);
  const columns = columnsOf(sites, name);
  const watched = mapStrides(options.maps, strides, name);

  const emit = new Emitter(model.opset);
  const weighted = new Map(options.regions ? strides.map((s) => [s, emit.op('Mul', [`regions_s${s}`, 'regions_strength'])]) : []);
  const batch = sites.some((s) => s.rank === 3) ? emit.length({ tensor: image.name, axis: 0 }) : '';
  const active = options.regions && sites.some((s) => s.form === 'fused') ? inForce(emit) : '';
  const head = emit.take();
  const replaced = new Map<number, Uint8Array[]>();
  const maps = new Map<number, string[]>();
  for (const site of options.regions || options.maps ? sites : []) {
    const map = changed(site);
    if (watched.includes(site.stride)) maps.set(site.stride, [...(maps.get(site.stride) ?? []), map]);
    replaced.set(site.node.raw.byteOffset, emit.take());
  }
  if (options.slices !== undefined) sliceQueries(emit, analysis, model.nodes, integer('slices', options.slices, 1, 256), replaced, name);
  const outputs = strides.flatMap((stride) => mapOutputs(emit, stride, maps.get(stride) ?? [], options.maps === 'layer'));
  const tail = emit.take();

  /** Emits what stands for the site's node; returns its map. */
  function changed(site: Site): string {
    const watch = watched.includes(site.stride);
    const painted = (scores: string): string => (options.regions ? biased(emit, site, scores, weighted.get(site.stride)!, batch, options.statistic ?? 'max') : scores);
    if (site.form === 'fused') return changedFused(site, watch, painted);
    emit.nodes.push(renamed(site.node, 1, painted(site.node.inputs[0]!)));
    return watch ? headMean(emit, site, site.node.outputs[0]!, batch) : '';
  }

  /** Opened, a fused attention rounds otherwise than its kernel: the kernel stays, and runs unless a region is in force. */
  function changedFused(site: Site, watch: boolean, painted: (scores: string) => string): string {
    const [output] = site.node.outputs as [string];
    const open = (): { weights: string; close: () => string } => {
      const { scores, close } = opened(emit, site, analysis, name);
      const weights = emit.op('Softmax', [painted(scores)], { axis: -1 });
      return { weights, close: () => close(weights) };
    };
    const kernel = kernelRuns(site, analysis);
    const seen = watch || !kernel ? open() : undefined;
    if (!kernel) emit.op('Identity', [seen!.close()], {}, output);
    else if (!options.regions) emit.nodes.push(site.node.raw);
    else {
      const then = emit.branch(site.type, () => (seen ?? open()).close());
      const otherwise = emit.branch(site.type, () => {
        const own = emit.fresh('fused');
        emit.nodes.push(renamed(site.node, 2, own));
        return own;
      });
      emit.op('If', [active], { then_branch: { graph: then }, else_branch: { graph: otherwise } }, output);
    }
    return seen && watch ? headMean(emit, site, seen.weights, batch) : '';
  }

  const parts: Uint8Array[] = [];
  let started = false;
  for (const f of fields(model.graph, name)) {
    if (f.number !== 1) {
      parts.push(f.raw);
      continue;
    }
    if (!started) parts.push(...head.map((n) => field(1, n)));
    started = true;
    const nodes = replaced.get(f.value.byteOffset);
    if (nodes) parts.push(...nodes.map((n) => field(1, n)));
    else parts.push(f.raw);
  }
  parts.push(...tail.map((n) => field(1, n)), ...emit.initializers());
  if (options.regions) {
    for (const s of strides) parts.push(field(11, valueInfo(`regions_s${s}`, ['regions_batch', 'regions_heads', `tokens_s${s}`, 'regions_columns'])));
    parts.push(field(11, valueInfo('regions_strength', ['strength_batch', 1, 1, 1])));
  }
  for (const output of outputs) parts.push(field(12, valueInfo(output, ['map_batch', `map_tokens_${output}`, 'map_columns'])));
  return {
    bytes: concat([...fields(bytes, name)].flatMap((f) => (f.number === 7 ? message(7, parts) : [f.raw]))),
    image: image.name,
    sites: {
      columns,
      strides: strides.map((stride) => ({
        stride,
        layers: sites.filter((s) => s.stride === stride).length,
        ...(options.regions && { input: `regions_s${stride}` }),
        ...(options.maps !== 'layer' && watched.includes(stride) && { map: `attention_s${stride}` }),
      })),
      ...(options.regions && { strength: 'regions_strength', statistic: options.statistic ?? 'max' }),
    },
  };
}

/** Throws CapabilityError for a graph that nothing can be added to. */
function checkChangeable(model: OnnxModel, name: string): void {
  if (model.opset < 13) throw new CapabilityError('regions', `${name}: opset ${model.opset}, at least 13 is needed — export with a newer opset`, { code: 'OPSET' });
  if (model.nodes.some((n) => n.outputs.some((o) => o.startsWith(PREFIX)))) throw new CapabilityError('regions', `${name}: this graph is already instrumented`, { code: 'ALREADY' });
}

/** Whether `instrument` takes the graph at all, whatever is asked of it. */
export function changeable(model: OnnxModel, sites: readonly Site[], name: string): boolean {
  try {
    checkChangeable(model, name);
    columnsOf(sites, name);
    return true;
  } catch (error) {
    if (CapabilityError.isInstance(error)) return false;
    throw error;
  }
}

/** The strides whose maps are asked for. Throws CapabilityError for one at which there is no attention. */
function mapStrides(maps: Instrumentation['maps'], strides: readonly number[], name: string): readonly number[] {
  if (typeof maps !== 'object') return maps ? strides : [];
  const absent = maps.find((stride) => !strides.includes(stride));
  if (absent === undefined) return maps;
  throw new CapabilityError('attention maps', `${name}: no attention at stride ${absent} — it looks at the text at strides ${strides.join(', ')}`, { code: 'STRIDE', strides });
}

/** Which input each run of key columns comes from; every site must agree, since one map serves all sites of a stride. */
function columnsOf(sites: readonly Site[], name: string): GraphSites['columns'] {
  const [first, ...rest] = sites.map((site) => JSON.stringify(site.segments));
  const other = rest.find((segments) => segments !== first);
  if (other) throw new CapabilityError('regions', `${name}: its attentions read different texts: ${first} and ${other} — instrument one text at a time with { text: ['<input>'] }`, { code: 'COLUMNS' });
  let offset = 0;
  return sites[0]!.segments.map((segment) => {
    const column = { ...segment, offset };
    offset += Math.max(0, segment.length);
    return column;
  });
}

function mapOutputs(emit: Emitter, stride: number, maps: readonly string[], perLayer: boolean): string[] {
  if (perLayer) return maps.map((map, k) => emit.op('Identity', [map], {}, `attention_${k}_s${stride}`));
  if (!maps.length) return [];
  return [emit.op(maps.length === 1 ? 'Identity' : 'Mean', maps, {}, `attention_s${stride}`)];
}

/** A length-delimited field from parts, without joining them first: weights are copied once, into the result. */
function message(number: number, parts: readonly Uint8Array[]): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [opening(number, length), ...parts];
}

/** Whether any picture's strength is not 0: bool `[1, 1, 1, 1]`. */
function inForce(emit: Emitter): string {
  const largest = emit.reduce('ReduceMax', emit.op('Abs', ['regions_strength']), 0, 1, 2, 3);
  return emit.op('Not', [emit.op('Equal', [largest, emit.float(0)])]);
}

/** A node's payload with its first input (`number` 1) or output (2) renamed; every other byte as it was. */
function renamed(node: Node, number: 1 | 2, name: string): Uint8Array {
  let first = true;
  return concat(
    [...fields(node.raw)].map((f) => {
      if (f.number !== number || !first) return f.raw;
      first = false;
      return field(number, name);
    }),
  );
}
