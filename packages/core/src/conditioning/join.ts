import { ShapeError } from '../errors/errors.js';
import { cast } from '../tensor/cast.js';
import { float32, floats, zeros } from '../tensor/host.js';
import { concatRows, placed } from '../tensor/rows.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Conditioning, PromptEmbedding } from './conditioning.js';

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

/** `[n, …]` → `[rows, …]` in float32, each of the n rows repeated rows/n times in a row. */
export async function repeatRows(tensor: Tensor, rows: number): Promise<Tensor<'float32'>> {
  const n = tensor.shape[0] ?? 1;
  if (rows % n !== 0) throw new ShapeError('conditioning', `a number of rows that divides ${rows}`, `${n}`);
  const data = await floats(await cast(tensor, 'float32'));
  const size = data.length / n;
  const out = new Float32Array(size * rows);
  for (let r = 0; r < rows; r++) out.set(data.subarray(Math.floor((r * n) / rows) * size, (Math.floor((r * n) / rows) + 1) * size), r * size);
  return tensor.device.fromHost(float32(out, [rows, ...tensor.shape.slice(1)]));
}

/** `rows` rows of `a`, then as many of `b`; a missing one is zeros of the other's shape, without both there is nothing. */
async function stack(a: Tensor | undefined, b: Tensor | undefined, rows: number): Promise<Tensor<'float32'> | undefined> {
  const like = a ?? b;
  if (!like) return undefined;
  const side = async (tensor: Tensor | undefined): Promise<Tensor> => (tensor ? repeatRows(tensor, rows) : placed(zeros([rows, ...like.shape.slice(1)]), like.device));
  return concatRows(await side(a), await side(b), 'conditioning', 'positive and negative must come from the same encoders');
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
    const pooled = await stack(a?.pooled, b?.pooled, rows);
    const mask = await stack(a?.mask, b?.mask, rows);
    embeddings[name] = {
      tokens: (await stack(a?.tokens, b?.tokens, rows))!,
      ...(pooled && { pooled }),
      length: (a ?? b)!.length,
      ...(mask && { mask }),
      ...((a?.segments ?? b?.segments) && { segments: (a?.segments ?? b?.segments)! }),
      spans: [...repeated(a?.spans ?? [], rows, []), ...repeated(b?.spans ?? [], rows, [])],
    };
  }
  const inputs: Record<string, Tensor> = {};
  for (const name of names(positive.inputs, negative.inputs)) inputs[name] = (await stack(positive.inputs?.[name], negative.inputs?.[name], rows))!;
  const channels = await stack(positive.channels, negative.channels, rows);
  // A control of one side applies to the rows of that side; one that both hold, to all.
  const controls = new Set([...(positive.controls ?? []), ...(negative.controls ?? [])]);
  return {
    embeddings,
    inputs,
    ...(channels && { channels }),
    constants: { ...negative.constants, ...positive.constants },
    ...(controls.size > 0 && { controls: [...controls].map((control) => ({ ...control, rows: [positive, negative].flatMap((side) => repeated(side.controls?.includes(control) ? (control.rows ?? []) : [false], rows, true)) })) }),
    ...(positive.regions && { regions: positive.regions }),
    ...(positive.prompts && { prompts: [...repeated(positive.prompts, rows, ''), ...repeated(negative.prompts ?? [], rows, '')] }),
    painted: [...repeated(positive.painted ?? [], rows, true), ...Array<boolean>(rows).fill(false)],
  };
}

/** `list` stretched to `count` entries, each repeated in a row. */
function repeated<T>(list: readonly T[], count: number, missing: T): T[] {
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)] ?? missing);
}
