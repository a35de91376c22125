import { ShapeError } from '../errors/errors.js';
import { cast } from '../tensor/cast.js';
import { float32, floats } from '../tensor/host.js';
import { shapeText, sizeOf, type Tensor } from '../tensor/tensor.js';
import type { Conditioning, Control, PromptEmbedding } from './conditioning.js';

/** Rows of conditioning: the batch of its embeddings and further inputs (1 when it has none). Throws ShapeError when they disagree. */
export function rowsOf(condition: Conditioning): number {
  const counts = [
    ...Object.entries(condition.embeddings).map(([name, e]) => [name, e.tokens.shape[0] ?? 1] as const),
    ...Object.entries({ ...condition.inputs, ...(condition.channels && { channels: condition.channels }) }).map(([name, t]) => [name, t.shape[0] ?? 1] as const),
  ];
  const rows = Math.max(1, ...counts.map(([, n]) => n));
  const odd = counts.find(([, n]) => n !== rows && n !== 1);
  if (odd) throw new ShapeError(`conditioning '${odd[0]}'`, `1 or ${rows} rows`, `${odd[1]}`);
  return rows;
}

/** `[n, …]` → `[rows, …]`, each of the n rows repeated rows/n times in a row. */
export async function repeatRows(tensor: Tensor, rows: number): Promise<Tensor<'float32'>> {
  const n = tensor.shape[0] ?? 1;
  if (rows % n !== 0) throw new ShapeError('conditioning', `a number of rows that divides ${rows}`, `${n}`);
  const data = await floats(tensor);
  const size = data.length / n;
  const out = new Float32Array(size * rows);
  for (let r = 0; r < rows; r++) out.set(data.subarray(Math.floor((r * n) / rows) * size, (Math.floor((r * n) / rows) + 1) * size), r * size);
  return tensor.device.fromHost(float32(out, [rows, ...tensor.shape.slice(1)]));
}

/** Concatenates two tensors along the batch; a missing one is zeros of the other's shape. */
async function stack(a: Tensor | undefined, b: Tensor | undefined, rowsA: number, rowsB: number): Promise<Tensor<'float32'>> {
  const like = a ?? b;
  if (!like) throw new ShapeError('conditioning', 'a tensor', 'none');
  if (a && b && (a.shape.length !== b.shape.length || a.shape.some((n, i) => i > 0 && n !== b.shape[i]))) {
    throw new ShapeError('conditioning', shapeText(a.shape), shapeText(b.shape), 'positive and negative must come from the same encoders');
  }
  const rest = like.shape.slice(1);
  const part = async (t: Tensor | undefined, rows: number): Promise<Float32Array> => (t ? floats(await repeatRows(t, rows)) : new Float32Array(rows * sizeOf(rest)));
  const [left, right] = [await part(a, rowsA), await part(b, rowsB)];
  const out = new Float32Array(left.length + right.length);
  out.set(left);
  out.set(right, left.length);
  return like.device.fromHost(float32(out, [rowsA + rowsB, ...rest]));
}

const names = (a: object = {}, b: object = {}): string[] => [...new Set([...Object.keys(a), ...Object.keys(b)])];

/**
 * The rows of `positive` followed by those of `negative`: one batched call instead of two. Absent embeddings become zeros; the
 * regions are those of `positive` and do not touch the negative rows.
 */
export async function joinConditioning(positive: Conditioning, negative: Conditioning): Promise<Conditioning> {
  const rows = Math.max(rowsOf(positive), rowsOf(negative));
  const embeddings: Record<string, PromptEmbedding> = {};
  for (const name of names(positive.embeddings, negative.embeddings)) {
    const a = positive.embeddings[name];
    const b = negative.embeddings[name];
    const pooled = a?.pooled ?? b?.pooled ? await stack(a?.pooled, b?.pooled, rows, rows) : undefined;
    const mask = a?.mask ?? b?.mask ? await stack(a?.mask && (await cast(a.mask, 'float32')), b?.mask && (await cast(b.mask, 'float32')), rows, rows) : undefined;
    embeddings[name] = {
      tokens: await stack(a?.tokens, b?.tokens, rows, rows),
      ...(pooled && { pooled }),
      length: (a ?? b)!.length,
      ...(mask && { mask }),
      ...((a?.segments ?? b?.segments) && { segments: (a?.segments ?? b?.segments)! }),
      spans: [...repeated(a?.spans ?? [], rows, []), ...repeated(b?.spans ?? [], rows, [])],
    };
  }
  const inputs: Record<string, Tensor> = {};
  for (const name of names(positive.inputs, negative.inputs)) inputs[name] = await stack(positive.inputs?.[name], negative.inputs?.[name], rows, rows);
  const channels = positive.channels ?? negative.channels ? await stack(positive.channels, negative.channels, rows, rows) : undefined;
  return {
    embeddings,
    inputs,
    ...(channels && { channels }),
    ...((positive.constants ?? negative.constants) && { constants: { ...negative.constants, ...positive.constants } }),
    ...joinControls(positive.controls, negative.controls, rows),
    ...(positive.regions && { regions: positive.regions }),
    ...(positive.prompts && { prompts: [...repeated(positive.prompts, rows, ''), ...repeated(negative.prompts ?? [], rows, '')] }),
    painted: [...repeated(positive.painted ?? [], rows, true), ...Array<boolean>(rows).fill(false)],
  };
}

/** A control of one side applies to the rows of that side; one that both sides hold, to all. */
function joinControls(positive: readonly Control[] = [], negative: readonly Control[] = [], rows: number): Pick<Conditioning, 'controls'> {
  const all = [...new Set([...positive, ...negative])];
  const half = (control: Control, side: readonly Control[]): boolean[] => repeated(side.includes(control) ? (control.rows ?? []) : [false], rows, true);
  return all.length > 0 ? { controls: all.map((control) => ({ ...control, rows: [...half(control, positive), ...half(control, negative)] })) } : {};
}

/** `list` stretched to `count` entries, each repeated in a row. */
function repeated<T>(list: readonly T[], count: number, missing: T): T[] {
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] ?? missing);
}
