import { float32, floats, type PromptEmbedding, type Session } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { joinChannels, textEncoder, type TextEncoderOptions } from './index.js';

const json = JSON.parse(readFileSync(new URL('../../model/tokenizers/clip-tokenizer.json', import.meta.url), 'utf8')) as object;

/** A graph whose token embedding is [id, 1] and whose pooled vector is the sum of the ids. */
function graph(): Session & { runs: number[][]; disposed: number } {
  const names = ['last_hidden_state', 'pooled', 'more'];
  return {
    name: 'text_encoder',
    runs: [],
    disposed: 0,
    inputs: [{ name: 'input_ids', dtype: 'int64', shape: ['b', 'n'] }],
    outputs: names.map((name) => ({ name, dtype: 'float32' as const, shape: ['b', 'n', 2] })),
    async run(feeds) {
      const { data, shape } = await feeds['input_ids']!.toHost();
      const ids = [...data].map(Number);
      const [rows, length] = shape as [number, number];
      this.runs.push(ids);
      const sums = Array.from({ length: rows }, (_, r) => ids.slice(r * length, (r + 1) * length).reduce((a, b) => a + b, 0));
      const more = { ...float32([0], [1]), dispose: () => void this.disposed++ };
      return { last_hidden_state: float32(ids.flatMap((id) => [id, 1]), [rows, length, 2]), pooled: float32(sums.flatMap((sum) => [sum, sum]), [rows, 2]), more };
    },
    dispose: () => Promise.resolve(),
  };
}
const encoder = (options: Partial<TextEncoderOptions> = {}, session = graph()) => textEncoder('clip', session, json, { length: 8, width: 2, empty: 'encode', long: true, names: { ids: 'input_ids', tokens: 'last_hidden_state', pooled: 'pooled' }, ...options });
const column = async ({ tokens }: PromptEmbedding, channel: number): Promise<number[]> => [...(await floats(tokens))].filter((_, i) => i % 2 === channel);
const long = 'a red apple and a cat on the grass';

describe('encoders of long prompts', () => {
  it('run window by window, put them in a row, and report what the pooled vector does not stand for', async () => {
    const session = graph();
    const { tokens, pooled, length, spans, mask, truncated, unpooled } = await encoder({}, session).encode([long, 'a cat']);
    expect(tokens.shape).toEqual([2, 16, 2]);
    expect(length).toBe(16);
    expect(session.runs).toHaveLength(2);
    expect(session.disposed).toBe(2);
    expect(spans[0]!.map((span) => span.column)).toEqual([1, 2, 3, 4, 5, 6, 9, 10, 11]);
    expect(spans[0]!.map(({ start, end }) => long.slice(start, end))).toEqual(long.split(' '));
    expect([...(await mask!.toHost()).data].map(Number)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
    expect([...(await floats(pooled!))]).toEqual([0, 1].flatMap((r) => Array(2).fill(session.runs[0]!.slice(8 * r, 8 * r + 8).reduce((a, b) => a + b))));
    expect([truncated, unpooled]).toEqual([undefined, ['on the grass']]);
  });
  it('follow a shorter prompt with the empty one, and a batch of two equals two batches of one', async () => {
    const both = await column(await encoder().encode([long, 'a cat']), 0);
    const alone = [await encoder().encode([long]), await encoder().encode(['a cat'], { windows: 2 })];
    expect(both).toEqual([...(await column(alone[0]!, 0)), ...(await column(alone[1]!, 0))]);
    expect(both.slice(24)).toEqual(await column(await encoder().encode(['']), 0));
    expect(await encoder().windows!([long, 'a cat'])).toBe(2);
    expect((await encoder({ empty: 'zeros' }).encode(['a cat'], { windows: 2 }).then((e) => column(e, 1))).slice(8)).toEqual(Array(8).fill(0));
  });
  it('cut and report unless they are told to read long prompts, whatever the windows asked for', async () => {
    const short = encoder({ long: false });
    const { length, truncated, unpooled } = await short.encode([long], { windows: 3 });
    expect([length, truncated, unpooled, await short.windows!([long])]).toEqual([8, ['on the grass'], undefined, 1]);
  });
  it('multiply by weights and restore the mean of the window, which can be left out', async () => {
    const prompt = 'a (red:2) [[cat]]';
    const plain = await encoder().encode(['a red cat']);
    const factors = [1, 1, 2, 1 / 1.1 / 1.1, 1, 1, 1, 1];
    const ids = await column(plain, 0);
    const multiplied = ids.map((id, i) => id * factors[i]!);
    const raw = await encoder({ weights: true, restoreMean: false }).encode([prompt, 'a red cat']);
    (await column(raw, 0)).forEach((value, i) => expect(value).toBeCloseTo([...multiplied, ...ids][i]!, 4));
    const restored = [...(await floats((await encoder({ weights: true }).encode([prompt])).tokens))];
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
    expect(mean(restored)).toBeCloseTo(mean([...(await floats(plain.tokens))]), 4);
    expect(restored[4]! / restored[2]!).toBeCloseTo((multiplied[2]! / multiplied[1]!), 4);
    expect([...(await floats((await encoder({ weights: true }).encode(['a red cat'])).tokens))]).toEqual([...(await floats(plain.tokens))]);
  });
  it('of two encoders have as many columns when they are asked for as many windows', async () => {
    const [one, two] = [await encoder().encode([long]), await encoder().encode(['a cat'], { windows: await encoder().windows!([long]) })];
    const joined = await joinChannels([{ encoder: 'clip', embedding: one }, { encoder: 'clip-g', embedding: two }]);
    expect(joined.tokens.shape).toEqual([1, 16, 4]);
    expect(joined.unpooled).toEqual(['on the grass']);
  });
});
