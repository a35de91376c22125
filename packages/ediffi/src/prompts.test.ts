import { float32, PaintWithWords, PhraseError, zeros, type PromptEncoder } from '@ediffi/core';
import { describe, expect, it } from 'vitest';
import { checkPaint, chosenEncoders, encodeTexts, textsOf } from './prompts.js';

/** One token per word, of which it reads the first `length`. */
const encoder = (name: string, length: number): PromptEncoder => ({
  name,
  width: 2,
  length,
  encode: (prompts) =>
    Promise.resolve({ tokens: zeros([prompts.length, length, 2]), length, spans: prompts.map((prompt) => [...prompt.matchAll(/\S+/g)].slice(0, length).map((word, column) => ({ start: word.index, end: word.index + word[0].length, column }))) }),
  dispose: () => Promise.resolve(),
});
const encoders = { t5: encoder('t5', 8), clip: encoder('clip', 4) };
const paint = (phrase: string, occurrence?: number): PaintWithWords => new PaintWithWords([{ phrase, mask: float32([1], [1, 1]), ...(occurrence !== undefined && { occurrence }) }]);
const columns = async (texts: Record<string, string>, phrase: string): Promise<Record<string, number[]>> => {
  const regions = paint(phrase);
  const { prompts, embeddings } = await encodeTexts(texts, encoders, { paint: regions });
  return Object.fromEntries(Object.entries(embeddings).map(([name, e]) => [name, [...regions.map(prompts![0]!, e.spans[0]!, 1, 1, e.length)].flatMap((v, column) => (v ? [column] : []))]));
};

describe('prompts', () => {
  it('go to all encoders, to some, or one text to each', () => {
    expect(textsOf('a cat', ['t5', 'clip'], encoders)).toEqual({ t5: 'a cat', clip: 'a cat' });
    expect(textsOf({ t5: 'a cat' }, ['t5', 'clip'], encoders)).toEqual({ t5: 'a cat' });
    expect(textsOf({ t5: 'a cat', clip: 'cat' }, ['clip'], encoders)).toEqual({ clip: 'cat' });
    expect(() => textsOf(3 as never, ['t5'], encoders)).toThrow(/a string or \{ t5, clip \}/);
    expect(() => textsOf({ t5: 3 } as never, ['t5'], encoders)).toThrow(/prompt.t5/);
    expect(chosenEncoders(['clip'], encoders)).toEqual(['clip']);
    expect(textsOf({ t5: 'a cat' }, [], encoders)).toEqual({});
  });

  it('are refused where they would say nothing to anyone', () => {
    const all = ['t5', 'clip'];
    expect(() => textsOf(['a cat', 'a dog'] as never, all, encoders)).toThrow(/prompt: expected one prompt/);
    expect(() => textsOf({ T5: 'apple' }, all, encoders)).toThrow(/prompt: expected texts for some of t5, clip, the text encoders of this pipeline, got "T5"/);
    expect(() => textsOf({ t5: 'a', clpi: 'b' }, all, encoders, 'negative')).toThrow(/negative: .*got "clpi"/);
    expect(() => textsOf({ t5: 'a cat' }, ['clip'], { clip: encoders.clip })).toThrow(/some of clip/);
    expect(() => textsOf({}, all, encoders)).toThrow(/a text for at least one of t5, clip/);
    expect(() => textsOf({ t5: 'a cat' }, ['clip'], encoders)).toThrow(/a text for at least one of clip/);
    expect(() => textsOf({ t5: 'a cat' }, [], {})).toThrow(/some of \(none\)/);
    expect(() => chosenEncoders('t5' as never, encoders)).toThrow(/a list of names/);
  });

  it('paint a phrase in every encoder, also when their texts differ', async () => {
    expect(await columns({ t5: 'a red cat', clip: 'a red cat' }, 'red cat')).toEqual({ t5: [1, 2], clip: [1, 2] });
    expect(await columns({ t5: 'a red cat', clip: 'one cat' }, 'cat')).toEqual({ t5: [2], clip: [1] });
    expect(await columns({ t5: 'a red cat', clip: 'one dog' }, 'cat')).toEqual({ t5: [2], clip: [] });
    expect(() => checkPaint(paint('cat', 0), { t5: 'a cat', clip: 'cat' })).toThrow(/ambiguous/);
  });

  it('leave empty texts out: absent is zeros', async () => {
    expect(Object.keys((await encodeTexts({ t5: ' ', clip: 'a cat' }, encoders, {})).embeddings)).toEqual(['clip']);
  });

  it('refuse a painted phrase that no encoder reads', async () => {
    const long = 'one two three four five cat';
    await expect(encodeTexts({ t5: long, clip: long }, encoders, { paint: paint('cat') })).resolves.toBeDefined();
    await expect(encodeTexts({ clip: long }, encoders, { paint: paint('cat') })).rejects.toThrow(PhraseError);
  });
});
