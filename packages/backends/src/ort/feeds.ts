import { BackendError, ShapeError, shapeText, type Tensor, type ValueInfo } from '@ediffi/core';

/** `float32 [1, 3, 32, 32]` by name: what an error may say about feeds. */
export const describeFeeds = (feeds: Readonly<Record<string, Tensor>>): Record<string, string> =>
  Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, `${t.dtype} ${shapeText(t.shape)}`]));

/**
 * Refuses feeds that do not fit the graph, before the runtime sees them: ONNX Runtime ignores unknown names silently.
 * Symbolic sizes must agree across inputs. Throws BackendError (names, types) or ShapeError (sizes).
 */
export function checkFeeds(backend: string, session: string, inputs: readonly ValueInfo[], feeds: Readonly<Record<string, Tensor>>): void {
  const given = describeFeeds(feeds);
  const unknown = Object.keys(feeds).filter((name) => !inputs.some((input) => input.name === name));
  if (unknown.length) throw new BackendError(backend, `${session}: unknown input ${unknown.join(', ')} — the graph takes ${inputs.map((i) => i.name).join(', ')}`, given);
  const sizes = new Map<string, { size: number; input: string }>();
  for (const { name, dtype, shape } of inputs) {
    const feed = feeds[name];
    if (!feed) throw new BackendError(backend, `${session}: input '${name}' is missing — the graph takes ${inputs.map((i) => i.name).join(', ')}`, given);
    if (feed.dtype !== dtype) throw new BackendError(backend, `${session}: input '${name}' is ${dtype}, got ${feed.dtype}`, given);
    const expected = shape.map((n) => (n === null ? '?' : n));
    const fits = feed.shape.length === shape.length && feed.shape.every((n, i) => typeof shape[i] !== 'number' || shape[i]! < 0 || shape[i] === n);
    if (!fits) throw new ShapeError(`${session} input '${name}'`, `[${expected.join(', ')}]`, shapeText(feed.shape));
    shape.forEach((symbol, i) => {
      if (typeof symbol !== 'string' || symbol === '' || symbol.startsWith('regions_') || symbol === 'strength_batch') return;
      const size = feed.shape[i]!;
      const known = sizes.get(symbol);
      if (known && known.size !== size) throw new ShapeError(`${session} input '${name}'`, `${symbol} = ${known.size} as in '${known.input}'`, `${symbol} = ${size}`);
      sizes.set(symbol, { size, input: name });
    });
  }
}
