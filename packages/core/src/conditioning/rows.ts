import { cast } from '../tensor/cast.js';
import { float32, floats } from '../tensor/host.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Conditioning, PromptEmbedding } from './conditioning.js';

/** The rows of `[n, …]` where `keep`, which serves them as conditioning serves a batch, is true, as float32. A single row serves all and stays. */
export async function keptRows(tensor: Tensor, keep: readonly boolean[]): Promise<Tensor> {
  const n = tensor.shape[0] ?? 1;
  if (n === 1) return tensor;
  const picks = Array.from({ length: n }, (_, r) => r).filter((r) => keep[Math.floor((r * keep.length) / n)]);
  const data = await floats(await cast(tensor, 'float32'));
  const size = data.length / n;
  const out = new Float32Array(picks.length * size);
  picks.forEach((r, i) => out.set(data.subarray(r * size, (r + 1) * size), i * size));
  return tensor.device.fromHost(float32(out, [picks.length, ...tensor.shape.slice(1)]));
}

/** The conditioning of those rows alone: texts and further inputs. */
export async function keptConditioning({ prompts: _p, painted: _q, ...condition }: Conditioning, keep: readonly boolean[]): Promise<Conditioning> {
  const embeddings: Record<string, PromptEmbedding> = {};
  for (const [name, embedding] of Object.entries(condition.embeddings)) {
    embeddings[name] = {
      ...embedding,
      tokens: await keptRows(embedding.tokens, keep),
      ...(embedding.pooled && { pooled: await keptRows(embedding.pooled, keep) }),
      ...(embedding.mask && { mask: await keptRows(embedding.mask, keep) }),
      spans: [],
    };
  }
  const inputs = Object.fromEntries(await Promise.all(Object.entries(condition.inputs ?? {}).map(async ([name, tensor]) => [name, await keptRows(tensor, keep)] as const)));
  return { ...condition, embeddings, inputs };
}

/** Puts rows back to where `keep` is true of `batch` rows; the others are zero. */
export async function spreadRows(tensor: Tensor, keep: readonly boolean[], batch: number): Promise<Tensor> {
  const data = await floats(tensor);
  const size = data.length / (tensor.shape[0] ?? 1);
  const out = new Float32Array(batch * size);
  let from = 0;
  for (let r = 0; r < batch; r++) if (keep[Math.floor((r * keep.length) / batch)]) out.set(data.subarray(from, (from += size)), r * size);
  return tensor.device.fromHost(float32(out, [batch, ...tensor.shape.slice(1)]));
}
