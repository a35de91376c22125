import { FLOAT, floatValues, integers, type Initializer, type Node, type OnnxModel } from './onnx.js';

/** What is known of a graph's tensors without running it. */
export class Constants {
  readonly #producers = new Map<string, Node>();

  constructor(readonly model: OnnxModel) {
    for (const node of model.nodes) for (const output of node.outputs) this.#producers.set(output, node);
  }

  /** A tensor stored in the file: an initializer or a Constant. */
  tensor(name: string | undefined): Initializer | undefined {
    if (!name) return undefined;
    const node = this.#producers.get(name);
    return this.model.initializers.get(name) ?? (node?.op === 'Constant' ? node.attributes.get('value')?.tensor : undefined);
  }

  /** Integers of a stored tensor. */
  ints(name: string | undefined): number[] | undefined {
    const tensor = this.tensor(name);
    if (tensor) return tensor.type === FLOAT ? undefined : integers(tensor);
    const node = name ? this.#producers.get(name) : undefined;
    if (node?.op !== 'Constant') return undefined;
    const { i, ints } = node.attributes.get('value_int') ?? node.attributes.get('value_ints') ?? { ints: [] };
    return i === undefined ? [...ints] : [i];
  }

  /** Floats of a stored float32 tensor. */
  floats(name: string | undefined): number[] | undefined {
    const tensor = this.tensor(name);
    return tensor?.type === FLOAT ? floatValues(tensor) : undefined;
  }

  /** The elements of a shape that is put together in the graph; undefined where one is known only at run time. */
  shape(name: string | undefined): (number | undefined)[] | undefined {
    const known = this.ints(name);
    if (known) return known;
    const node = name ? this.#producers.get(name) : undefined;
    switch (node?.op) {
      case 'Concat':
        return node.inputs.flatMap((input) => this.shape(input) ?? [undefined]);
      case 'Cast':
      case 'Identity':
      case 'Unsqueeze':
        return this.shape(node.inputs[0]);
      case 'Shape': {
        const [start = 0, end] = [node.attributes.get('start')?.i, node.attributes.get('end')?.i];
        return end === undefined || end < start || start < 0 ? undefined : new Array<undefined>(end - start).fill(undefined);
      }
      default:
        return undefined;
    }
  }

  /** Sizes of something learned that does not depend on inputs (but for the batch that it is expanded to). */
  dims(name: string | undefined): readonly number[] | undefined {
    const tensor = this.tensor(name);
    if (tensor) return tensor.dims;
    const node = name ? this.#producers.get(name) : undefined;
    return node && ['Cast', 'Identity', 'Expand', 'Tile'].includes(node.op) ? this.dims(node.inputs[0]) : undefined;
  }
}
