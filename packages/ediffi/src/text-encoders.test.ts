import { floats } from '@ediffi/core';
import { hubTextEncoder, hubTokenizer } from '@ediffi/encoders';
import { ortNode } from '@ediffi/backends/ort-node';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readCase } from './testing/parity.js';

const parity = new URL('../parity/', import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, parity), 'utf8');

describe('hub text encoders on optimum’s exports', () => {
  it('equal diffusers’ prompt embeddings, of the negative prompt too', async () => {
    const { arguments: given, tensors } = readCase('sd15-euler');
    const prompts = [given['prompt'], given['negative_prompt']] as string[];
    const { json, padId } = hubTokenizer({ vocab: JSON.parse(text('tokenizers/clip/vocab.json')) as Record<string, number>, merges: text('tokenizers/clip/merges.txt'), config: { pad_token: '<|endoftext|>' } });
    const backend = ortNode();
    const path = new URL('fixtures/sd15/text_encoder/model.onnx', parity);
    const encoder = hubTextEncoder('clip', await backend.load({ name: 'text_encoder', bytes: () => Promise.resolve(readFileSync(path)) }), json, { length: 77, padId });
    const { tokens } = await encoder.encode(prompts);
    const got = await floats(tokens);
    const wanted = [...tensors['prompt_embeds']!.data, ...tensors['negative_prompt_embeds']!.data];
    expect(got.length).toBe(wanted.length);
    expect(Math.max(...wanted.map((v, i) => Math.abs(v - got[i]!)))).toBeLessThan(1e-4);
    await backend.dispose();
  });
});

interface Golden { text: string; read: boolean; windows: number[][]; tokens?: string; pooled?: string }
const golden = JSON.parse(gunzipSync(readFileSync(new URL('../../encoders/golden/long-prompts.json.gz', import.meta.url))).toString()) as Record<string, Golden[]>;
const numbers = (base64: string): Float32Array => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);

describe('long and weighted prompts equal A1111’s algorithm on PyTorch', () => {
  it.each([
    ['sd15', 'sd15/text_encoder', 'sd15/tokenizer', {}],
    ['sdxl', 'sdxl/text_encoder_2', 'sdxl/tokenizer_2', { layer: -2, pooledWidth: 24 }],
  ] as const)('%s', async (name, graph, folder, options) => {
    const { json, padId } = hubTokenizer({ vocab: JSON.parse(text('tokenizers/clip/vocab.json')) as Record<string, number>, merges: text('tokenizers/clip/merges.txt'), config: JSON.parse(text(`fixtures/${folder}/tokenizer_config.json`)) as object });
    const backend = ortNode();
    for (const weights of [false, true]) {
      const session = await backend.load({ name: graph, bytes: () => Promise.resolve(readFileSync(new URL(`fixtures/${graph}/model.onnx`, parity))) });
      const encoder = hubTextEncoder(name, session, json, { length: 77, padId, long: true, weights, ...options });
      for (const { text: prompt, tokens, pooled } of golden[name]!.filter((g) => g.tokens !== undefined && g.read === weights)) {
        const got = await encoder.encode([prompt]);
        const apart = (a: Float32Array, b: Float32Array): number => b.reduce((most, v, i) => Math.max(most, Math.abs(v - a[i]!)), a.length === b.length ? 0 : Infinity);
        expect(apart(await floats(got.tokens), numbers(tokens!)), prompt).toBeLessThan(1e-4);
        if (pooled !== undefined) expect(apart(await floats(got.pooled!), numbers(pooled))).toBeLessThan(1e-4);
      }
      await encoder.dispose();
    }
    await backend.dispose();
  });
});
