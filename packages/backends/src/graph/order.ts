import { readsOf, type Node } from './onnx.js';

/** Nodes in an order in which every input is made before it is read; some converters append theirs at the end. Sorted graphs come back as they are. */
export function ordered(nodes: readonly Node[]): readonly Node[] {
  const producer = new Map<string, Node>();
  for (const node of nodes) for (const output of node.outputs) if (output) producer.set(output, node);
  const out = new Set<Node>();
  for (const start of nodes) {
    const stack = [start]; // a stack of our own: graphs are deeper than JavaScript's
    const open = new Set<Node>();
    while (stack.length) {
      const node = stack.at(-1)!;
      const next = out.has(node) || open.has(node) ? [] : readsOf(node).map((input) => producer.get(input)).filter((n): n is Node => n !== undefined && !out.has(n) && n !== node);
      open.add(node);
      if (next.length) stack.push(...next);
      else {
        out.add(node);
        stack.pop();
      }
    }
  }
  return [...out];
}
