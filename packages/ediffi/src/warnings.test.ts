import { zeros } from '@ediffi/core';
import { describe, expect, it } from 'vitest';
import { wordWarnings } from './warnings.js';

describe('wordWarnings', () => {
  const embeddings = { clip: { tokens: zeros([1, 2, 4]), unknown: ['QXZW', 'zebra'] } } as unknown as Parameters<typeof wordWarnings>[1];
  const signs = { letters: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', longest: 4 };
  const said = (model: Parameters<typeof wordWarnings>[2]): unknown[] => wordWarnings(['a sign that says QXZW'], embeddings, model).map((warning) => 'word' in warning && warning.word);

  it('leaves out what a sign spells, though CLIP does not know it', () => {
    expect(said({ words: { other: ['a', 'sign', 'that', 'says'] }, signs })).toEqual(['zebra']);
    expect(said({ words: { other: ['a', 'sign', 'that', 'says'] } })).toEqual(['QXZW', 'zebra']);
  });
});
