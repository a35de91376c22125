// A subject the model has never seen, learnt from six pictures (subject/): a LoRA for each expert of the base, made by packages/model/training/personal.py.
import { readFile } from 'node:fs/promises';
import { floats } from '@ediffi/core';
import { loadEdiffi, parseLora, tensorOf, type GeneratedImage, type Pipeline, type WeightedLora } from 'ediffi';

export const EXPERTS = ['high', 'middle', 'low'];
const at = (path: string): URL => new URL(path, import.meta.url);

/** The LoRA of each of these experts, all at the same weight. */
export async function flamingo(weight = 1, experts = EXPERTS): Promise<Record<string, WeightedLora[]>> {
  const loras = experts.map(async (name): Promise<[string, WeightedLora[]]> => [name, [{ lora: parseLora(await readFile(at(`lora/flamingo-${name}.safetensors`)), 'flamingo'), weight }]]);
  return Object.fromEntries(await Promise.all(loras));
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Of each picture, the mean cosine of its CLIP image embedding with those of the subject's own six pictures. */
export async function likeness({ parts }: Pipeline, pictures: readonly GeneratedImage[]): Promise<number[]> {
  const encoder = parts.imageEncoder!;
  const embedded = async (input: Parameters<typeof tensorOf>[0]): Promise<Float32Array> => {
    const data = await floats((await encoder.encode(tensorOf(input, 'picture'))).pooled!);
    const length = Math.hypot(...data);
    return data.map((v) => v / length);
  };
  const subject = await Promise.all([1, 2, 3, 4, 5, 6].map(async (i) => embedded(await readFile(at(`subject/${i}.png`)))));
  const made = await Promise.all(pictures.map((picture) => embedded(picture.toPng())));
  return made.map((a) => mean(subject.map((b) => a.reduce((sum, v, i) => sum + v * b[i]!, 0))));
}

/** Paints the prompts without and with the subject's LoRAs: how like the subject the pictures are, and the pictures. */
export async function main(prompts = ['a sks in the snow', 'a sks on the beach', 'a sks on a green background'], steps = 20, seed = 7): Promise<{ without: number; with: number; pictures: GeneratedImage[] }> {
  const paint = async (loras: Record<string, WeightedLora[]>): Promise<{ like: number; pictures: GeneratedImage[] }> => {
    const ediffi = await loadEdiffi({ loras });
    try {
      const pictures = [];
      for (const prompt of prompts) pictures.push(await ediffi.generate(prompt, { seed, steps }));
      return { like: mean(await likeness(ediffi, pictures)), pictures };
    } finally {
      await ediffi.dispose();
    }
  };
  const [plain, mine] = [await paint({}), await paint(await flamingo())];
  return { without: plain.like, with: mine.like, pictures: [...plain.pictures, ...mine.pictures] };
}
