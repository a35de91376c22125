/* Embeddings of several encoders as the one tensor that SDXL and SD3 networks take, with the columns of each kept apart. */
import { float32, floats, int64, ShapeError, zeros, type PromptEmbedding, type Tensor, type TokenSpan } from '@ediffi/core';

interface Named {
  readonly encoder: string;
  readonly embedding: PromptEmbedding;
}

const rowsOf = ({ tokens }: PromptEmbedding): number => tokens.shape[0] ?? 1;
const list = (parts: readonly (readonly string[] | undefined)[]): readonly string[] => [...new Set(parts.flatMap((p) => p ?? []))];

/** Rows of `[B, n, a]` and `[B, n, b]` side by side: `[B, n, a + b]` (n = 1 for vectors). */
async function beside(tensors: readonly Tensor[], shape: readonly number[]): Promise<Tensor> {
  const arrays = await Promise.all(tensors.map(floats));
  const widths = tensors.map((t) => t.shape.at(-1)!);
  const total = widths.reduce((a, b) => a + b, 0);
  const rows = arrays[0]!.length / widths[0]!;
  const out = new Float32Array(rows * total);
  let offset = 0;
  arrays.forEach((array, k) => {
    for (let r = 0; r < rows; r++) out.set(array.subarray(r * widths[k]!, (r + 1) * widths[k]!), r * total + offset);
    offset += widths[k]!;
  });
  return float32(out, [...shape.slice(0, -1), total]);
}

/** Spans of all parts, row by row, moved to their columns. */
const spansOf = (parts: readonly { readonly spans: PromptEmbedding['spans']; readonly start: number }[], rows: number): TokenSpan[][] =>
  Array.from({ length: rows }, (_, r) => parts.flatMap(({ spans, start }) => (spans[r] ?? []).map((span) => ({ ...span, column: span.column + start }))));

const reports = (parts: readonly Named[]): Pick<PromptEmbedding, 'unknown' | 'truncated' | 'unpooled'> => {
  const all = (['unknown', 'truncated', 'unpooled'] as const).map((kind) => [kind, list(parts.map((p) => p.embedding[kind]))] as const);
  return Object.fromEntries(all.filter(([, texts]) => texts.length > 0));
};

/**
 * Encoders that share their columns, side by side along channels: `[B, T, C₁ + C₂]` (SDXL's CLIP-L and CLIP-G). `pooled`: 'last' gives the last
 * encoder's vector (SDXL), 'all' all of them joined (SD3). Throws ShapeError when rows or columns differ.
 */
export async function joinChannels(parts: readonly Named[], pooled: 'last' | 'all' = 'last'): Promise<PromptEmbedding> {
  const [first] = parts;
  if (!first) throw new ShapeError('encoders to join', 'at least one', 'none');
  const { shape } = first.embedding.tokens;
  for (const { encoder, embedding } of parts) {
    if (embedding.tokens.shape[0] !== shape[0] || embedding.tokens.shape[1] !== shape[1]) throw new ShapeError(`embedding of ${encoder}`, `[${shape[0]}, ${shape[1]}, …]`, `[${embedding.tokens.shape.join(', ')}]`, 'give all encoders the same number of prompts and columns');
  }
  const vectors = parts.flatMap(({ embedding }) => (embedding.pooled ? [embedding.pooled] : []));
  const vector = pooled === 'last' ? parts.at(-1)!.embedding.pooled : vectors.length === parts.length ? await beside(vectors, vectors[0]!.shape) : undefined;
  // Equal texts have equal spans in both; different ones paint the columns of either.
  const spans = spansOf(parts.map(({ embedding }) => ({ spans: embedding.spans, start: 0 })), rowsOf(first.embedding)).map((row) => [...new Map(row.map((span) => [`${span.start} ${span.end} ${span.column}`, span])).values()]);
  return {
    tokens: await beside(parts.map((p) => p.embedding.tokens), shape),
    ...(vector && { pooled: vector }),
    length: first.embedding.length,
    spans,
    ...(first.embedding.mask && { mask: first.embedding.mask }),
    ...reports(parts),
  };
}

/** The embedding with channels of zeros up to `width`. Throws ShapeError when it is wider. */
export async function padChannels(embedding: PromptEmbedding, width: number): Promise<PromptEmbedding> {
  const own = embedding.tokens.shape.at(-1)!;
  if (own === width) return embedding;
  if (own > width) throw new ShapeError('embedding', `at most ${width} channels`, `${own}`, 'use the encoder that the network was trained with');
  const shape = embedding.tokens.shape;
  return { ...embedding, tokens: await beside([embedding.tokens, zeros([...shape.slice(0, -1), width - own])], shape) };
}

/** A missing encoder's columns: zeros `[rows, length, width]`, no spans. */
export const absentEmbedding = (rows: number, length: number, width: number): PromptEmbedding => ({ tokens: zeros([rows, length, width]), length, spans: Array.from({ length: rows }, () => []) });

/**
 * Encoders one after the other along tokens: `[B, T₁ + T₂, C]` (SD3's CLIP, then T5), with `segments` saying which columns are whose; the pooled
 * vector is the first that any has. Throws ShapeError when rows or channels differ.
 */
export async function joinTokens(parts: readonly Named[]): Promise<PromptEmbedding> {
  const [first] = parts;
  if (!first) throw new ShapeError('encoders to join', 'at least one', 'none');
  const [rows, width] = [rowsOf(first.embedding), first.embedding.tokens.shape.at(-1)!];
  const placed = parts.map(({ encoder, embedding }, i) => {
    if (rowsOf(embedding) !== rows || embedding.tokens.shape.at(-1) !== width) throw new ShapeError(`embedding of ${encoder}`, `[${rows}, …, ${width}]`, `[${embedding.tokens.shape.join(', ')}]`, 'pad the narrower one with padChannels');
    return { encoder, start: parts.slice(0, i).reduce((sum, p) => sum + p.embedding.length, 0), length: embedding.length, embedding };
  });
  const total = placed.reduce((sum, p) => sum + p.length, 0);
  const tokens = new Float32Array(rows * total * width);
  const mask: number[] = Array<number>(rows * total).fill(1);
  for (const { embedding, start, length } of placed) {
    const data = await floats(embedding.tokens);
    const kept = embedding.mask && (await embedding.mask.toHost()).data;
    for (let r = 0; r < rows; r++) {
      tokens.set(data.subarray(r * length * width, (r + 1) * length * width), (r * total + start) * width);
      for (let i = 0; kept && i < length; i++) mask[r * total + start + i] = Number(kept[r * length + i]);
    }
  }
  const pooled = parts.find((p) => p.embedding.pooled)?.embedding.pooled;
  return {
    tokens: float32(tokens, [rows, total, width]),
    ...(pooled && { pooled }),
    length: total,
    spans: spansOf(placed.map(({ embedding, start }) => ({ spans: embedding.spans, start })), rows),
    mask: int64(mask, [rows, total]),
    segments: placed.map(({ encoder, start, length }) => ({ encoder, start, length })),
    ...reports(parts),
  };
}
