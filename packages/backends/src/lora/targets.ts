/* Where the weights of a module are in a graph: by the parameter's name where the exporter kept it, else by the node that multiplies with them. */
import type { Initializer, Node, OnnxModel } from '../graph/onnx.js';
import { fields, text } from '../graph/wire.js';

/** The weights of one module. */
export interface Target {
  /** Module path, its dots as underscores. */
  readonly path: string;
  readonly tensor: Initializer;
  /** Stored as [in, out], as a MatMul's right factor is. */
  readonly transposed: boolean;
  /** Nodes and inputs that read them. */
  readonly uses: { readonly node: Node; readonly input: number }[];
}

const LAYERS = new Set(['MatMul', 'FusedMatMul', 'Gemm', 'Conv', 'FusedConv', 'NhwcConv']);

/** Finds every linear and convolution layer of a graph, and looks modules up in it. */
export class Targets {
  readonly #byPath = new Map<string, Target[]>();
  count = 0;

  constructor(model: OnnxModel) {
    const producers = new Map(model.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
    const known = new Map<string, Target>();
    for (const node of model.nodes) {
      if (!LAYERS.has(node.op)) continue;
      let [reader, input, flipped] = [node, 1, false];
      for (let source = producers.get(node.inputs[1] ?? ''); source && ['Identity', 'Cast', 'Transpose'].includes(source.op); source = producers.get(source.inputs[0]!)) {
        [reader, input] = [source, 0];
        if (source.op === 'Transpose') flipped = !flipped;
      }
      const tensor = model.initializers.get(reader.inputs[input] ?? '');
      const path = tensor && pathOf(node, tensor);
      if (!path) continue;
      const columns = node.op === 'MatMul' || node.op === 'FusedMatMul' || (node.op === 'Gemm' && !node.attributes.get('transB')?.i);
      const transposed = columns !== flipped;
      const same = known.get(`${path} ${tensor.name} ${transposed}`);
      if (same) same.uses.push({ node: reader, input });
      else this.#add({ path: path.join('_').replaceAll('.', '_'), tensor, transposed, uses: [{ node: reader, input }] }, path, known);
    }
  }

  #add(target: Target, path: readonly string[], known: Map<string, Target>): void {
    this.count++;
    known.set(`${path.join(',')} ${target.tensor.name} ${target.transposed}`, target);
    for (let i = 0; i < path.length; i++) {
      const suffix = path.slice(i).join('_');
      this.#byPath.set(suffix, [...(this.#byPath.get(suffix) ?? []), target]);
    }
  }

  /** The module of that path, whatever the exporter wrapped around it; undefined when there is none, or several that fit equally. */
  find(path: string): Target | undefined {
    const [first, second] = (this.#byPath.get(path) ?? []).slice().sort((a, b) => a.path.length - b.path.length);
    return first && second?.path.length === first.path.length ? undefined : first;
  }
}

/** Module path of a layer, in pieces without dots. */
function pathOf(node: Node, tensor: Initializer): string[] | undefined {
  if (tensor.name.endsWith('.weight')) return tensor.name.slice(0, -7).split('.');
  const scoped = scopeOf(node);
  if (scoped) return scoped.split('.');
  const pieces = node.name.split('/').filter(Boolean); // TorchScript: /down_blocks.0/…/to_q/MatMul
  return node.name.startsWith('/') && pieces.length > 1 ? pieces.slice(0, -1).flatMap((piece) => piece.split('.')) : undefined;
}

/** Dynamo's note of the modules around a node: "['', 'unet', …, 'unet.attn1.to_q', 'linear_3']". */
function scopeOf(node: Node): string | undefined {
  for (const f of fields(node.raw)) {
    if (f.number !== 9) continue;
    const entry = new Map([...fields(f.value)].map((e) => [e.number, text(e.value)]));
    if (entry.get(1) === 'pkg.torch.onnx.name_scopes') return [...(entry.get(2) ?? '').matchAll(/'([^']*)'/g)].at(-2)?.[1] || undefined;
  }
  return undefined;
}
