import { float32, floats, ModelError, ShapeError, type Session, type Tensor } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clipImageEncoder, clipTextEncoder, t5Encoder } from './index.js';

const json = (name: string): object => JSON.parse(readFileSync(new URL(`../../model/tokenizers/${name}-tokenizer.json`, import.meta.url), 'utf8')) as object;

/** A session that answers with ones of the given shapes and remembers its feeds. */
function fake(input: string, outputs: Record<string, (batch: number) => number[]>, widths: Record<string, number | string> = {}): Session & { fed: Tensor[]; disposed: number } {
  const fed: Tensor[] = [];
  return {
    name: 'fake.onnx',
    fed,
    disposed: 0,
    inputs: [{ name: input, dtype: 'int64', shape: ['batch', 8] }],
    outputs: Object.keys(outputs).map((name) => ({ name, dtype: 'float32' as const, shape: ['batch', widths[name] ?? 4] })),
    run(feeds) {
      const tensor = feeds[input]!;
      fed.push(tensor);
      const answers = Object.entries(outputs).map(([name, shape]) => {
        const sizes = shape(tensor.shape[0]!);
        return [name, float32(new Float32Array(sizes.reduce((a, b) => a * b, 1)).fill(1), sizes)] as const;
      });
      return Promise.resolve(Object.fromEntries(answers));
    },
    dispose() {
      this.disposed++;
      return Promise.resolve();
    },
  };
}

const hidden = (batch: number): number[] => [batch, 8, 4];

describe('text encoders', () => {
  it('t5: ids in, tokens out, no pooled vector; reports and spans per prompt', async () => {
    const session = fake('input_ids', { last_hidden_state: hidden });
    const encoder = t5Encoder(session, json('t5'), { length: 8, width: 4 });
    const { tokens, pooled, spans, unknown, truncated, length } = await encoder.encode(['a red zebra', 'a cat and a cat and a cat and a cat']);
    expect(session.fed[0]!.shape).toEqual([2, 8]);
    expect(session.fed[0]!.dtype).toBe('int64');
    expect(tokens.shape).toEqual([2, 8, 4]);
    expect(pooled).toBeUndefined();
    expect(spans.map((row) => row.length)).toEqual([3, 7]);
    expect(unknown).toEqual(['zebra']);
    expect(truncated).toEqual(['cat and a cat']);
    expect(length).toBe(8);
    await encoder.dispose();
    expect(session.disposed).toBe(1);
  });

  it('clip: pooled too; an empty prompt is zeros, not the encoding of an empty string', async () => {
    const encoder = clipTextEncoder(fake('input_ids', { last_hidden_state: hidden, pooled: (b) => [b, 4] }), json('clip'), { length: 8, width: 4 });
    const { tokens, pooled } = await encoder.encode(['', 'a cat']);
    expect([...(await floats(pooled!))]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect((await floats(tokens)).slice(0, 32).every((v) => v === 0)).toBe(true);
  });

  it('refuses a graph of another width when it is built, and one that turns out so when it runs', async () => {
    expect(() => t5Encoder(fake('input_ids', { last_hidden_state: hidden }), json('t5'), { length: 8, width: 128 })).toThrow(ShapeError);
    const dynamic = t5Encoder(fake('input_ids', { last_hidden_state: hidden }, { last_hidden_state: 'width' }), json('t5'), { length: 8, width: 128 });
    await expect(dynamic.encode(['a cat'])).rejects.toThrow(/expected \[1, 8, 128\], got \[1, 8, 4\]/);
  });

  it('refuses a graph that is no text encoder', () => {
    expect(() => t5Encoder(fake('pixels', { last_hidden_state: hidden }), json('t5'), { length: 8, width: 4 })).toThrow(ModelError);
    expect(() => clipTextEncoder(fake('input_ids', { last_hidden_state: hidden }), json('clip'), { length: 8, width: 4 })).toThrow(/no output pooled/);
  });
});

describe('clipImageEncoder', () => {
  it('resizes any picture to what the graph takes', async () => {
    const session = fake('pixel_values', { image_embeds: (b) => [b, 4] });
    const encoder = clipImageEncoder(session, { size: 2, width: 4 });
    const picture = float32(Float32Array.from({ length: 3 * 4 * 4 }, (_, i) => (i < 16 ? -1 : 1)), [1, 3, 4, 4]);
    const { pooled, tokens, spans } = await encoder.encode(picture);
    expect([...(await floats(session.fed[0]!))]).toEqual([-1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(pooled!.shape).toEqual([1, 4]);
    expect(tokens.shape).toEqual([1, 1, 4]);
    expect(spans).toEqual([[]]);
    await expect(encoder.encode(float32([], [1, 3, 0, 4]))).rejects.toThrow(ShapeError);
  });
});
