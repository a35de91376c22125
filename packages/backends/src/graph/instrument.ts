/*
 * Paint-with-words and attention maps on a plain export (eDiff-I §4.3, arXiv 2211.01324). Before every cross-attention's Softmax:
 *
 *   S′ = S + strength·stat(S)·A      S = QKᵀ/√d, masked; stat = max or std over pixels and keys, per picture and head
 *
 * equals softmax((QKᵀ + w·A)/√d) with w = strength·max(QKᵀ), wherever the exporter put the scale. Behind it, optionally, the mean of
 * the attention over heads and layers as an output.
 */
import { CapabilityError, type GraphSites, type Instrumentation } from '@ediffi/core';
import { analyse, type Site } from './analysis.js';
import { FLOAT, FLOAT16, parseModel, type Node } from './onnx.js';
import { concat, field, fields, text } from './wire.js';
import { constantNode, int64s, node, valueInfo } from './write.js';

const PREFIX = 'ediffi/';

/** Small integer tensors that inserted nodes take as inputs. */
const CONSTANTS = { 'axes_-2_-1': [-2, -1], axes_1: [1], minus_one: [-1], zero: [0], one: [1], three: [3] };

/** An instrumented graph and what was added to it. */
export interface Instrumented {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sites: GraphSites;
  /** The graph input that is the picture. */
  readonly image: string;
}

/** Reductions took their axes as an attribute before opset 18 and as an input since; ReduceSum since 13. */
function reduce(op: string, input: string, output: string, axes: readonly number[], opset: number): Uint8Array {
  const asInput = opset >= 18 || op === 'ReduceSum';
  return asInput ? node(op, [input, `${PREFIX}axes_${axes.join('_')}`], output, { keepdims: 1 }) : node(op, [input], output, { axes, keepdims: 1 });
}

/** The graph with inputs `regions_s<stride>`, `regions_strength` and outputs `attention_s<stride>` as asked. Throws CapabilityError. */
export function instrument(bytes: Uint8Array, options: Instrumentation, name = 'graph'): Instrumented {
  const model = parseModel(bytes, name);
  if (model.opset < 13) throw new CapabilityError('regions', `${name}: opset ${model.opset}, at least 13 is needed — export with a newer opset`, { code: 'OPSET' });
  if (model.nodes.some((n) => n.outputs.some((o) => o.startsWith(PREFIX)))) throw new CapabilityError('regions', `${name}: this graph is already instrumented`, { code: 'ALREADY' });
  const { sites, image } = analyse(model, name);
  const half = image.type === FLOAT16;
  const strides = [...new Set(sites.map((s) => s.stride))].sort((a, b) => a - b);
  const before = new Map<Node, Uint8Array[]>();
  const after = new Map<Node, Uint8Array[]>();
  const replaced = new Map<Node, string>();
  const head: Uint8Array[] = [];
  const tail: Uint8Array[] = [];
  const mapsOf = new Map<number, string[]>();

  if (options.regions) for (const s of strides) head.push(node('Mul', [`regions_s${s}`, 'regions_strength'], `${PREFIX}weighted_s${s}`));
  sites.forEach((site, i) => {
    if (options.regions) {
      const [emitted, output] = bias(site, i, options.statistic ?? 'max', model.opset, half);
      before.set(site.softmax, emitted);
      replaced.set(site.softmax, output);
    }
    if (options.maps) {
      const map = `${PREFIX}map_${i}`;
      after.set(site.softmax, meanOverHeads(site, map, i, model.opset, half));
      mapsOf.set(site.stride, [...(mapsOf.get(site.stride) ?? []), map]);
    }
  });
  const outputs: string[] = [];
  for (const [stride, maps] of mapsOf) {
    const names = options.maps === 'layer' ? maps.map((_, k) => `attention_${k}_s${stride}`) : [`attention_s${stride}`];
    if (options.maps === 'layer') maps.forEach((map, k) => tail.push(node('Identity', [map], names[k]!)));
    else if (maps.length === 1) tail.push(node('Identity', [maps[0]!], names[0]!));
    else tail.push(node('Mean', maps, names[0]!));
    outputs.push(...names);
  }

  const parts: Uint8Array[] = [];
  const byRaw = new Map(model.nodes.map((n) => [n.raw.byteOffset, n]));
  let started = false;
  for (const f of fields(model.graph, name)) {
    if (f.number !== 1) {
      parts.push(f.raw);
      continue;
    }
    if (!started) parts.push(...head.map((n) => field(1, n)));
    started = true;
    const original = byRaw.get(f.value.byteOffset)!;
    parts.push(...(before.get(original) ?? []).map((n) => field(1, n)));
    const input = replaced.get(original);
    parts.push(input === undefined ? f.raw : field(1, withFirstInput(f.value, input)));
    parts.push(...(after.get(original) ?? []).map((n) => field(1, n)));
  }
  parts.push(...tail.map((n) => field(1, n)));
  const emitted = text(concat([...[...before.values(), ...after.values()].flat()]));
  for (const [constant, values] of Object.entries(CONSTANTS)) if (emitted.includes(PREFIX + constant)) parts.push(int64s(PREFIX + constant, values));
  if (options.regions) {
    for (const s of strides) parts.push(field(11, valueInfo(`regions_s${s}`, ['regions_batch', 'regions_heads', `tokens_s${s}`, 'regions_columns'])));
    parts.push(field(11, valueInfo('regions_strength', ['strength_batch', 1, 1, 1])));
  }
  for (const output of outputs) parts.push(field(12, valueInfo(output, ['map_batch', `map_tokens_${output}`, 'map_columns'])));

  const graph = concat(parts);
  const rebuilt = concat([...fields(bytes, name)].map((f) => (f.number === 7 ? field(7, graph) : f.raw)));
  let offset = 0;
  const columns = sites[0]!.segments.map((segment) => {
    const column = { ...segment, offset };
    offset += Math.max(0, segment.length);
    return column;
  });
  return {
    bytes: rebuilt,
    image: image.name,
    sites: {
      columns,
      strides: strides.map((stride) => ({
        stride,
        layers: sites.filter((s) => s.stride === stride).length,
        ...(options.regions && { input: `regions_s${stride}` }),
        ...(options.maps && options.maps !== 'layer' && { map: `attention_s${stride}` }),
      })),
      ...(options.regions && { strength: 'regions_strength' }),
    },
  };
}

/** A node's payload with its first input renamed; every other byte as it was. */
function withFirstInput(payload: Uint8Array, input: string): Uint8Array {
  let first = true;
  return concat(
    [...fields(payload)].map((f) => {
      if (f.number !== 1 || !first) return f.raw;
      first = false;
      return field(1, input);
    }),
  );
}

/** Brings rank-3 scores [B·heads, tokens, T] to rank 4, B from the map's own batch being unusable (it may be 1): heads = −1 from strength's. */
function toRank4(input: string, output: string, i: number): Uint8Array[] {
  const p = `${PREFIX}${i}_`;
  return [
    node('Shape', ['regions_strength'], `${p}strength_shape`),
    node('Slice', [`${p}strength_shape`, `${PREFIX}zero`, `${PREFIX}one`], `${p}batch`),
    node('Shape', [input], `${p}shape`),
    node('Slice', [`${p}shape`, `${PREFIX}one`, `${PREFIX}three`], `${p}rows`),
    node('Concat', [`${p}batch`, `${PREFIX}minus_one`, `${p}rows`], `${p}shape4`, { axis: 0 }),
    node('Reshape', [input, `${p}shape4`], output),
  ];
}

function bias(site: Site, i: number, statistic: 'max' | 'std', opset: number, half: boolean): [Uint8Array[], string] {
  const p = `${PREFIX}${i}_`;
  const original = site.softmax.inputs[0]!;
  const out: Uint8Array[] = [];
  let scores = original;
  if (site.rank === 3) {
    out.push(...toRank4(original, `${p}scores4`, i));
    scores = `${p}scores4`;
  }
  let wide = scores;
  if (half) out.push(node('Cast', [scores], (wide = `${p}wide`), { to: FLOAT }));
  if (statistic === 'max') out.push(reduce('ReduceMax', wide, `${p}stat`, [-2, -1], opset));
  else out.push(...deviation(wide, p, opset));
  out.push(node('Mul', [`${PREFIX}weighted_s${site.stride}`, `${p}stat`], `${p}bias`));
  let added = `${p}bias`;
  if (half) out.push(node('Cast', [added], (added = `${p}bias_half`), { to: FLOAT16 }));
  let result = `${p}biased`;
  out.push(node('Add', [scores, added], result));
  if (site.rank === 3) {
    out.push(node('Reshape', [result, `${p}shape`], `${p}biased3`));
    result = `${p}biased3`;
  }
  return [out, result];
}

/** Standard deviation over pixels and keys; masked keys (far below −1000) do not count. */
function deviation(scores: string, p: string, opset: number): Uint8Array[] {
  return [
    constantNode(`${p}limit`, -1000),
    node('Greater', [scores, `${p}limit`], `${p}present`),
    node('Cast', [`${p}present`], `${p}mask`, { to: FLOAT }),
    reduce('ReduceSum', `${p}mask`, `${p}count`, [-2, -1], opset),
    node('Mul', [scores, `${p}mask`], `${p}masked`),
    reduce('ReduceSum', `${p}masked`, `${p}sum`, [-2, -1], opset),
    node('Div', [`${p}sum`, `${p}count`], `${p}mean`),
    node('Sub', [scores, `${p}mean`], `${p}centred`),
    node('Mul', [`${p}centred`, `${p}mask`], `${p}centred_masked`),
    node('Mul', [`${p}centred_masked`, `${p}centred_masked`], `${p}squares`),
    reduce('ReduceSum', `${p}squares`, `${p}total`, [-2, -1], opset),
    node('Div', [`${p}total`, `${p}count`], `${p}variance`),
    node('Sqrt', [`${p}variance`], `${p}stat`),
  ];
}

function meanOverHeads(site: Site, output: string, i: number, opset: number, half: boolean): Uint8Array[] {
  if (site.rank === 3) throw new CapabilityError('attention maps', `'${site.softmax.name}' merges heads into the batch (rank 3); maps need rank-4 attention — export with scaled-dot-product attention`, { code: 'RANK3' });
  const p = `${PREFIX}${i}_map_`;
  let weights = site.softmax.outputs[0]!;
  const out: Uint8Array[] = [];
  if (half) out.push(node('Cast', [weights], (weights = `${p}wide`), { to: FLOAT }));
  out.push(reduce('ReduceMean', weights, `${p}heads`, [1], opset), node('Squeeze', [`${p}heads`, `${PREFIX}axes_1`], output));
  return out;
}
