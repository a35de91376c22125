import { ModelError } from '@ediffi/core';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadModel, parseCard, unknownWords, type ModelCard } from './index.js';

const graph = new TextEncoder().encode('not really a graph');
const hash = createHash('sha256').update(graph).digest('hex');
const card = (change: (card: Record<string, never> & ModelCard) => void = () => undefined): string => {
  const value = {
    name: 'toy', version: '1', license: 'MIT',
    files: { 'a.onnx': { sha256: hash, bytes: graph.length, parameters: 3 } },
    encoders: { t5: { file: 'a.onnx', tokenizer: 't5.json', length: 8, width: 4 } },
    stages: [{ name: 'base', size: 8, multiple: 4, sigmaData: 0.5, cNoise: 'log/4', sigmaMin: 0.1, sigmaMax: 10,
      experts: [{ name: 'high', file: 'a.onnx', sigmaMin: 1, sigmaMax: 10 }, { name: 'low', file: 'a.onnx', sigmaMin: 0.1, sigmaMax: 1 }],
      defaults: { solver: 'heun', grid: 'karras', steps: 4, guidance: 1 } }],
    words: { objects: ['cat', 'apple'], other: ['a', 'red', 'on', 'the', 'grass'] },
  };
  change(value as never);
  return JSON.stringify(value);
};

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ediffi-model-'));
  mkdirSync(join(folder, 'weights'));
  mkdirSync(join(folder, 'tokenizers'));
  writeFileSync(join(folder, 'card.json'), card());
  writeFileSync(join(folder, 'weights/a.onnx'), graph);
  writeFileSync(join(folder, 'tokenizers/t5.json'), '{"model":{}}');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('loadModel', () => {
  it('opens a folder: sources with path and hash, tokenizers parsed', async () => {
    const model = await loadModel({ folder });
    const source = model.source('a.onnx');
    expect(source).toMatchObject({ name: 'a.onnx', sha256: hash, path: join(folder, 'weights', 'a.onnx') });
    expect(new Uint8Array(await source.bytes())).toEqual(new Uint8Array(graph));
    expect(await model.tokenizer('t5.json')).toEqual({ model: {} });
    expect(model.graphs().map(({ name }) => name)).toEqual(['a.onnx']); // three parts of one file
    expect(() => model.source('b.onnx')).toThrow(/not a file of toy, which has a.onnx/);
  });

  it('opens through a fetcher, as browsers do, and checks what it fetches', async () => {
    const served: Record<string, Uint8Array> = { 'card.json': new TextEncoder().encode(card()), 'weights/a.onnx': graph.slice() };
    const model = await loadModel({ fetch: (path) => (served[path] ? Promise.resolve(served[path]) : Promise.reject(new Error('404'))) });
    expect(await model.source('a.onnx').bytes()).toEqual(graph);
    served['weights/a.onnx']![0]! ^= 1;
    await expect(model.source('a.onnx').bytes()).rejects.toThrow(/SHA-256/);
    await expect(model.tokenizer('t5.json')).rejects.toThrow(ModelError);
  });

  it('refuses a missing, a cut-off and an altered weight file when it is opened', async () => {
    writeFileSync(join(folder, 'weights/a.onnx'), graph.slice(0, 5));
    await expect(loadModel({ folder })).rejects.toThrow(/a.onnx: 5 bytes, the card says 18/);
    writeFileSync(join(folder, 'weights/a.onnx'), graph.map((v) => v ^ 1));
    await expect(loadModel({ folder })).rejects.toThrow(/SHA-256 is/);
    rmSync(join(folder, 'weights/a.onnx'));
    await expect(loadModel({ folder })).rejects.toMatchObject({ code: 'ModelError', file: 'weights/a.onnx' });
    await expect(loadModel({ folder: join(folder, 'nowhere') })).rejects.toThrow(/card.json: cannot be read/);
  });
});

describe('parseCard', () => {
  it('names what is wrong', () => {
    expect(() => parseCard('{')).toThrow(/not JSON/);
    expect(() => parseCard('{}')).toThrow(/the card.name is missing/);
    expect(() => parseCard(card((c) => delete (c.stages[0] as { sigmaData?: number }).sigmaData))).toThrow(/stages\[0\].sigmaData is missing/);
    expect(() => parseCard(card((c) => ((c.stages[0]!.experts[0] as { file: string }).file = 'z.onnx')))).toThrow(/experts\[0\].file is illegal \("z.onnx"\)/);
    expect(() => parseCard(card((c) => ((c.stages[0]!.experts[0] as { sigmaMin: number }).sigmaMin = 2)))).toThrow(/gap at σ in \(1, 2\]/);
  });
});

describe('unknownWords', () => {
  it('names each unknown word once, with the known words nearest to it', () => {
    const unknown = unknownWords('A Red aple on the GRASS, an aple and 3 cats', { words: { objects: ['cat', 'apple'], other: ['a', 'red', 'on', 'the', 'grass', 'and'] } });
    expect(unknown.map((entry) => entry.word)).toEqual(['aple', 'an', '3', 'cats']);
    expect(unknown[0]!.nearest[0]).toBe('apple');
    expect(unknown[3]!.nearest[0]).toBe('cat');
  });

  it('does not warn of what a sign spells: capitals, as many as were trained', () => {
    const known = { words: { other: ['a', 'sign', 'that', 'says'] }, signs: { letters: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', longest: 4 } };
    const names = (prompt: string, card: Parameters<typeof unknownWords>[1] = known): string[] => unknownWords(prompt, card).map(({ word }) => word);
    expect(names('A sign that says QXZW')).toEqual([]);
    expect(names('a sign that says HELLO')).toEqual(['HELLO']);
    expect(names('a sign that says Qxzw')).toEqual(['Qxzw']);
    expect(names('a sign that says QXZW', { words: known.words })).toEqual(['QXZW']);
  });
});
