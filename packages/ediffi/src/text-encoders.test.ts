import { floats } from '@ediffi/core';
import { hubTextEncoder, hubTokenizer } from '@ediffi/encoders';
import { ortNode } from '@ediffi/backends/ort-node';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const parity = new URL('../parity/', import.meta.url);
const text = (path: string): string => readFileSync(new URL(path, parity), 'utf8');

/** A float32 tensor of a safetensors file. */
function tensor(name: string, key: string): Float32Array {
  const bytes = readFileSync(new URL(`expected/${name}.safetensors`, parity));
  const size = Number(bytes.readBigUInt64LE(0));
  const { data_offsets: [from, to] } = (JSON.parse(bytes.subarray(8, 8 + size).toString()) as Record<string, { data_offsets: [number, number] }>)[key]!;
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset + 8 + size + from, bytes.byteOffset + 8 + size + to));
}

describe('hub text encoders on optimum’s exports', () => {
  it('equal diffusers’ prompt embeddings, of the negative prompt too', async () => {
    const { arguments: given } = JSON.parse(text('expected/sd15-euler.json')) as { arguments: { prompt: string; negative_prompt: string } };
    const { json, padId } = hubTokenizer({ vocab: JSON.parse(text('tokenizers/clip/vocab.json')) as Record<string, number>, merges: text('tokenizers/clip/merges.txt'), config: { pad_token: '<|endoftext|>' } });
    const backend = ortNode();
    const path = new URL('fixtures/sd15/text_encoder/model.onnx', parity);
    const encoder = hubTextEncoder('clip', await backend.load({ name: 'text_encoder', bytes: () => Promise.resolve(readFileSync(path)) }), json, { length: 77, padId });
    const { tokens } = await encoder.encode([given.prompt, given.negative_prompt]);
    const got = await floats(tokens);
    const wanted = [...tensor('sd15-euler', 'prompt_embeds'), ...tensor('sd15-euler', 'negative_prompt_embeds')];
    expect(got.length).toBe(wanted.length);
    expect(Math.max(...wanted.map((v, i) => Math.abs(v - got[i]!)))).toBeLessThan(1e-4);
    await backend.dispose();
  });
});
