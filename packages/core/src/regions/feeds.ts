import type { Session } from '../backend/session.js';
import type { Conditioning } from '../conditioning/conditioning.js';
import { float32 } from '../tensor/host.js';
import type { Shape, Tensor } from '../tensor/tensor.js';

/**
 * The maps A of every attention resolution, as feeds `regions_s<stride>` `[1 or B, 1, tokens, T]`. A phrase owns the columns of its
 * tokens in every encoder that has spans; columns of image and null tokens stay 0. Without regions: zeros.
 */
export async function regionFeeds(
  session: Session,
  condition: Conditioning,
  shape: Shape,
  names: { readonly embeddings: Readonly<Record<string, { readonly tokens?: string }>> },
): Promise<Record<string, Tensor>> {
  const sites = session.sites;
  if (!sites) return {};
  const [batch = 1, , height = 1, width = 1] = shape;
  const total = sites.columns.reduce((sum, column) => sum + column.length, 0);
  const prompts = condition.prompts ?? [];
  const rows = condition.regions && prompts.length > 1 ? batch : 1;
  const feeds: Record<string, Tensor> = {};
  for (const { stride, input } of sites.strides) {
    if (input === undefined) continue;
    const [h, w] = [Math.ceil(height / stride), Math.ceil(width / stride)];
    const data = new Float32Array(rows * h * w * total);
    for (let r = 0; r < rows && condition.regions; r++) {
      const painted = condition.painted ?? [true];
      if (!painted[Math.floor((r * painted.length) / rows)]) continue;
      for (const column of sites.columns) {
        const map = columnMap(condition, encoderOf(column.input, names), r / rows, h, w, column.length);
        if (!map) continue;
        for (let i = 0; i < h * w; i++) data.set(map.subarray(i * column.length, (i + 1) * column.length), (r * h * w + i) * total + column.offset);
      }
    }
    feeds[input] = float32(data, [rows, 1, h * w, total]);
  }
  return feeds;
}

function encoderOf(input: string, names: { readonly embeddings: Readonly<Record<string, { readonly tokens?: string }>> }): string | undefined {
  return Object.entries(names.embeddings).find(([, inputs]) => inputs.tokens === input)?.[0];
}

/** A for one row (given as its share of the batch) and one encoder, or nothing when the encoder has no words. */
function columnMap(condition: Conditioning, encoder: string | undefined, share: number, height: number, width: number, length: number): Float32Array | undefined {
  const embedding = encoder === undefined ? undefined : condition.embeddings[encoder];
  if (!embedding || !condition.regions) return undefined;
  const index = Math.floor(share * embedding.spans.length);
  const spans = embedding.spans[index];
  const prompt = condition.prompts?.[Math.min(index, condition.prompts.length - 1)];
  return spans?.length && prompt !== undefined ? condition.regions.map(prompt, spans, height, width, length) : undefined;
}
