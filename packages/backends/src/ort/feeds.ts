import { BackendError, ShapeError, shapeText, type GraphSites, type Tensor, type ValueInfo } from '@ediffi/core';

/** `float32 [1, 3, 32, 32]` by name: what an error may say about feeds. */
export const describeFeeds = (feeds: Readonly<Record<string, Tensor>>): Record<string, string> =>
  Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, `${t.dtype} ${shapeText(t.shape)}`]));

/**
 * Refuses feeds that do not fit the graph, before the runtime sees them: ONNX Runtime ignores unknown names silently.
 * Symbolic sizes must agree across inputs; region maps must fit the picture. Throws BackendError (names, types) or ShapeError (sizes).
 */
export function checkFeeds(backend: string, session: string, inputs: readonly ValueInfo[], feeds: Readonly<Record<string, Tensor>>, regions?: Regions): void {
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
  if (regions) checkRegions(session, regions, feeds);
}

/** What instrumentation says about a graph's regions. */
interface Regions {
  readonly sites: GraphSites;
  readonly image: string;
}

/** Sizes that ONNX Runtime would report as an unreadable broadcast error, or (joint attention) crop without a word. */
function checkRegions(session: string, { sites, image }: Regions, feeds: Readonly<Record<string, Tensor>>): void {
  const picture = feeds[image]?.shape ?? [];
  const batch = picture[0] ?? 1;
  const columns = sites.columns.reduce((sum, { input, length }) => sum + (length < 0 ? (feeds[input]?.shape[1] ?? 0) : length), 0);
  const refuse = (name: string, expected: string): void => {
    const { shape } = feeds[name]!;
    throw new ShapeError(`${session} input '${name}'`, expected, shapeText(shape), `for a picture ${shapeText(picture)} and ${columns} key columns (${sites.columns.map((c) => c.input).join(', ')})`);
  };
  const rows = `${batch === 1 ? '1' : `1 or ${batch}`}`;
  if (sites.strength !== undefined) {
    const [b] = feeds[sites.strength]!.shape;
    if (b !== 1 && b !== batch) refuse(sites.strength, `[${rows}, 1, 1, 1]`);
  }
  for (const { stride, input } of sites.strides) {
    if (input === undefined) continue;
    const [b, , tokens, keys] = feeds[input]!.shape;
    const area = picture.length >= 4 ? picture.slice(2).reduce((product, n) => product * Math.ceil(n / stride), 1) : undefined;
    if ((b !== 1 && b !== batch) || (area !== undefined && tokens !== area) || keys !== columns) refuse(input, `[${rows}, 1 or heads, ${area ?? 'tokens'}, ${columns}]`);
  }
}
