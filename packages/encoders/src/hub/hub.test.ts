import { CapabilityError, columnsOf, findPhrase, float32, floats, int64, ModelError, ShapeError, type PromptEmbedding, type Session, type Tensor } from '@ediffi/core';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { absentEmbedding, hubTextEncoder, hubTokenizer, joinChannels, joinTokens, padChannels } from '../index.js';

const file = (path: string): string => readFileSync(new URL(`../../../ediffi/parity/tokenizers/${path}`, import.meta.url), 'utf8');
const clip = { vocab: JSON.parse(file('clip/vocab.json')) as Record<string, number>, merges: file('clip/merges.txt') };

/** A session that answers with the output's position in every element, and remembers its feeds. */
function fake(outputs: Record<string, number>, options: { ids?: 'int64' | 'int32'; mask?: boolean } = {}): Session & { fed: Record<string, Tensor> } {
  const names = Object.keys(outputs);
  return {
    name: 'text_encoder',
    fed: {},
    inputs: [{ name: 'input_ids', dtype: options.ids ?? 'int64', shape: ['b', 'n'] }, ...(options.mask ? [{ name: 'attention_mask', dtype: 'int64' as const, shape: ['b', 'n'] }] : [])],
    outputs: names.map((name) => ({ name, dtype: 'float32' as const, shape: name.includes('hidden') ? ['b', 'n', outputs[name]!] : ['b', outputs[name]!] })),
    run(feeds) {
      this.fed = { ...feeds };
      const [b, n] = feeds['input_ids']!.shape as [number, number];
      const shape = (name: string): number[] => (name.includes('hidden') ? [b, n, outputs[name]!] : [b, outputs[name]!]);
      return Promise.resolve(Object.fromEntries(names.map((name, i) => [name, float32(new Float32Array(shape(name).reduce((p, q) => p * q, 1)).fill(i), shape(name))])));
    },
    dispose: () => Promise.resolve(),
  };
}
const states = { last_hidden_state: 4, pooler_output: 4, 'hidden_states.0': 4, 'hidden_states.1': 4, 'hidden_states.2': 4 };

describe('hubTokenizer', () => {
  it('pads with what the repository says', () => {
    expect(hubTokenizer({ ...clip, config: { pad_token: '<|endoftext|>', model_max_length: 77 } })).toMatchObject({ padId: 49407, length: 77 });
    expect(hubTokenizer({ ...clip, config: { pad_token: '!' } }).padId).toBe(0);
    expect(hubTokenizer({ ...clip, specialTokens: { pad_token: { content: '!' } } }).padId).toBe(0);
    const t5 = hubTokenizer({ tokenizer: JSON.parse(file('t5/tokenizer.json')) as object, config: { pad_token: '<pad>', model_max_length: 1e30 } });
    expect([t5.padId, t5.length]).toEqual([0, undefined]);
  });
  it('refuses a folder without a vocabulary, and padding that is not in it', () => {
    expect(() => hubTokenizer({ vocab: clip.vocab })).toThrow(/neither tokenizer.json nor vocab.json with merges.txt/);
    expect(() => hubTokenizer({ ...clip, config: { pad_token: '<nothing>' } })).toThrow(ModelError);
  });
});

describe('hubTextEncoder', () => {
  const { json, padId } = hubTokenizer({ ...clip, config: { pad_token: '<|endoftext|>' } });
  const options = { length: 8, padId };
  it('takes the last state, the layer before the last, the pooled vector; an empty prompt is encoded', async () => {
    const value = async (layer?: number, outputs: Record<string, number> = states): Promise<number[]> => {
      const { tokens, pooled } = await hubTextEncoder('clip', fake(outputs), json, { ...options, ...(layer !== undefined && { layer }) }).encode(['']);
      return [(await floats(tokens))[0]!, pooled ? (await floats(pooled))[0]! : -1];
    };
    expect(await value()).toEqual([0, 1]);
    expect(await value(-2)).toEqual([3, 1]);
    expect(await value(-3)).toEqual([2, 1]);
    expect(await value(-2, { text_embeds: 6, ...states })).toEqual([4, 0]); // the projected vector goes before the pooled one
  });
  it('feeds int32 ids and a mask where the graph wants them', async () => {
    const session = fake(states, { ids: 'int32', mask: true });
    const { mask } = await hubTextEncoder('clip', session, json, options).encode(['a cat']);
    expect(session.fed['input_ids']!.dtype).toBe('int32');
    expect([...(await session.fed['input_ids']!.toHost()).data]).toEqual([49406, 320, 2368, 49407, 49407, 49407, 49407, 49407]);
    for (const m of [mask!, session.fed['attention_mask']!]) expect([...(await m.toHost()).data].map(Number)).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
  });
  it('refuses layers that the graph does not give, and widths it does not state', () => {
    expect(() => hubTextEncoder('clip', fake({ last_hidden_state: 4 }), json, { ...options, layer: -2 })).toThrow(CapabilityError);
    expect(() => hubTextEncoder('clip', fake({ text_embeds: 4 }), json, options)).toThrow(/output_hidden_states/);
    const open = { ...fake(states), outputs: [{ name: 'last_hidden_state', dtype: 'float32' as const, shape: ['b', 'n', 'width'] }] };
    expect(() => hubTextEncoder('clip', open, json, options)).toThrow(ModelError);
  });
});

describe('joined embeddings', () => {
  const embedding = (value: number, columns: number, width: number, pooled?: number): PromptEmbedding => ({
    tokens: float32(new Float32Array(2 * columns * width).fill(value), [2, columns, width]), length: columns, spans: [0, 1].map(() => [{ start: 2, end: 5, column: 1 }]),
    ...(pooled !== undefined && { pooled: float32([pooled, pooled], [2, 1]) }), mask: int64(Array.from({ length: 2 * columns }, (_, i) => Number(i % columns < 2)), [2, columns]),
  });
  it('SDXL: channels side by side, the second pooled vector, one set of columns', async () => {
    const both = await joinChannels([{ encoder: 'clip', embedding: embedding(1, 3, 2, 7) }, { encoder: 'clip-2', embedding: embedding(2, 3, 1, 8) }]);
    expect([...(await floats(both.tokens))]).toEqual(Array.from({ length: 6 }, () => [1, 1, 2]).flat());
    expect([...(await floats(both.pooled!))]).toEqual([8, 8]);
    expect(both.spans[0]).toHaveLength(1);
    expect([...(await floats((await joinChannels([{ encoder: 'a', embedding: embedding(1, 3, 2, 7) }, { encoder: 'b', embedding: embedding(2, 3, 1, 8) }], 'all')).pooled!))]).toEqual([7, 8, 7, 8]);
    await expect(joinChannels([{ encoder: 'a', embedding: embedding(1, 3, 2) }, { encoder: 'b', embedding: embedding(2, 4, 1) }])).rejects.toThrow(ShapeError);
  });
  it('SD3: CLIP padded to T5’s width, then T5’s columns, each encoder’s known; zeros where T5 is absent', async () => {
    const wide = await padChannels(embedding(1, 3, 2, 7), 4);
    expect([...(await floats(wide.tokens)).slice(0, 8)]).toEqual([1, 1, 0, 0, 1, 1, 0, 0]);
    const all = await joinTokens([{ encoder: 'clip', embedding: wide }, { encoder: 't5', embedding: embedding(5, 2, 4) }]);
    expect(all.tokens.shape).toEqual([2, 5, 4]);
    expect([...(await floats(all.tokens)).slice(12, 20)]).toEqual(Array(8).fill(5));
    expect(all.segments).toEqual([{ encoder: 'clip', start: 0, length: 3 }, { encoder: 't5', start: 3, length: 2 }]);
    expect(columnsOf(all.spans[1]!, findPhrase('a cat', 'cat'))).toEqual([1, 4]);
    expect([...(await all.mask!.toHost()).data].map(Number).slice(0, 5)).toEqual([1, 1, 0, 1, 1]);
    expect([...(await floats(all.pooled!))]).toEqual([7, 7]);
    const without = await joinTokens([{ encoder: 'clip', embedding: wide }, { encoder: 't5', embedding: absentEmbedding(2, 2, 4) }]);
    expect((await floats(without.tokens)).slice(12, 20).every((v) => v === 0)).toBe(true);
    await expect(padChannels(wide, 3)).rejects.toThrow(ShapeError);
    await expect(joinTokens([{ encoder: 'clip', embedding: wide }, { encoder: 't5', embedding: embedding(5, 2, 3) }])).rejects.toThrow(/padChannels/);
  });
});
