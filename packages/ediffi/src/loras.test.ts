import { OptionError } from '@ediffi/core';
import type { Lora } from '@ediffi/backends/lora';
import { afterAll, expect, it } from 'vitest';
import { loadBase, type ExpertLoras, type Pipeline } from './index.js';
import { embeddedFolder } from './testing/embedded.js';

const PROMPT = 'a red apple on the grass';
const settings = { seed: 7, steps: 4 } as const;

/** A rank-1 change of the base's middle cross-attention values. */
const lora: Lora = {
  name: 'touch',
  layers: [{ part: 'denoiser', path: 'net_middle_attention_value', rank: 1, outputs: 192, inputs: 128, scale: 1, up: () => new Float32Array(192).fill(0.3), down: () => Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)) }],
};
const opened: Pipeline[] = [];
const painted = async (loras?: ExpertLoras): Promise<{ data: Uint8Array; versions: Readonly<Record<string, string>> }> => {
  const pipeline = await loadBase({ folder: embeddedFolder, ...(loras && { loras }) });
  opened.push(pipeline);
  const { data, metadata } = await pipeline.generate(PROMPT, settings);
  return { data, versions: metadata.versions };
};
afterAll(() => Promise.all(opened.map((pipeline) => pipeline.dispose())));

it('a LoRA of weight 0 changes no byte, one in a single expert changes the picture less than one in all', async () => {
  const [plain, nothing, low, all] = [await painted(), await painted([{ lora, weight: 0 }]), await painted({ low: [{ lora }] }), await painted([{ lora }])];
  const far = ({ data }: { data: Uint8Array }): number => data.reduce((sum, v, i) => sum + Math.abs(v - plain.data[i]!), 0);
  expect(far(nothing)).toBe(0);
  expect(far(low)).toBeGreaterThan(0);
  expect(far(all)).toBeGreaterThan(far(low));
  expect(low.versions).toMatchObject({ 'lora touch': 'low 1' });
  expect(all.versions).toMatchObject({ 'lora touch': 'high 1, middle 1, low 1' });
  expect(Object.keys(plain.versions).join()).not.toContain('lora');
});

it('names no expert has and weights that are no numbers are refused before anything is loaded', async () => {
  await expect(loadBase({ folder: embeddedFolder, loras: { medium: [{ lora }] } })).rejects.toThrow(OptionError);
  await expect(loadBase({ folder: embeddedFolder, loras: { hi: [{ lora }] } })).rejects.toThrow(/nearest: high/);
  await expect(loadBase({ folder: embeddedFolder, loras: { low: [{ lora, weight: NaN }] } })).rejects.toThrow(/weight of touch/);
});

it('a layer that the expert does not have is named when the expert is loaded', async () => {
  const pipeline = await loadBase({ folder: embeddedFolder, loras: { high: [{ lora: { name: 'other', layers: [{ ...lora.layers[0]!, path: 'net_nowhere' }] } }] } });
  opened.push(pipeline);
  await expect(pipeline.generate(PROMPT, settings)).rejects.toThrow(/net_nowhere \(other\)/);
});
