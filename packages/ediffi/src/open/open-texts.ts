/* The text encoders of a model: which it has, what they read, and where their graphs are. */
import { CapabilityError, integer, ModelError, type PromptEncoder } from '@ediffi/core';
import { graphOutline } from '@ediffi/backends/outline';
import type { ReadingOptions } from '@ediffi/encoders';
import type { SharedLoads } from '../shared-loads.js';
import { graphSource } from '../sources/index.js';
import type { Family } from './families.js';
import { key } from './graph-key.js';
import { lazyEncoder, type Disposable } from './lazy.js';
import { readJson, type Config, type ModelIndex } from './model-index.js';
import { encoderOf, tokenizerOf, type TextPart, type TextWidths } from './texts.js';

/** A text encoder's graph. */
export interface TextGraph {
  readonly folder: string;
  readonly model: string;
  readonly file: string;
}

/** The text encoders that the model has; graphs load when they are first needed. Rejects with ModelError for a missing one that the family needs. */
export async function openTexts(index: ModelIndex, second: ModelIndex | undefined, family: Family, loads: SharedLoads, own: <T extends Disposable>(part: T) => T, reading: () => ReadingOptions, clipSkip = 0): Promise<{ encoders: Record<string, PromptEncoder>; widths: Omit<TextWidths, 'width'>; parameters: Record<string, number>; graphs: readonly TextGraph[] }> {
  integer('clipSkip', clipSkip, 0, 64);
  const isRead = ({ name }: TextPart, { model_type: kind }: Config): boolean => String(kind).startsWith('clip') && family.plan.segments.flat().includes(name);
  let clips = 0;
  const parameters: Record<string, number> = {};
  const graphs: TextGraph[] = [];
  const encoders: Record<string, PromptEncoder> = {};
  const [tokens, pooled, lengths]: [Record<string, number>, Record<string, number>, Record<string, number>] = [{}, {}, {}];
  for (const part of family.texts) {
    const [model, from] = index.has(part.encoder) ? ['model', index] : second?.has(part.encoder) ? ['refiner', second] : ['', undefined];
    lengths[part.name] = part.length ?? 77;
    if (!from) {
      if (part.optional || isRefinerText(part, index)) continue;
      throw new ModelError(`${index.files.location}: ${family.title} needs ${part.encoder}/, which is missing — export or download the whole model`, part.encoder);
    }
    const config = await readJson(from.files, `${part.encoder}/config.json`);
    const tokenizer = await tokenizerOf(from.files, part.tokenizer);
    const length = part.length ?? tokenizer.length ?? 77;
    const file = `${part.encoder}/model.onnx`;
    const outline = await graphOutline(await graphSource(from.files, file));
    const width = Number(config['hidden_size'] ?? config['d_model']);
    const said = outline.outputs.find((output) => output.name === 'last_hidden_state')?.shape.at(-1);
    if (typeof said === 'number' && said > 0 && said !== width) throw new ModelError(`${file}: its tokens are ${said} wide in the graph, but ${width} by config.json — the files are of different models`, file);
    tokens[part.name] = width;
    parameters[part.encoder] = outline.parameters;
    graphs.push({ folder: part.encoder, model, file });
    const projected = outline.outputs.some((output) => output.name === 'text_embeds');
    pooled[part.name] = projected ? Number(config['projection_dim'] ?? width) : width;
    lengths[part.name] = length;
    const clip = isRead(part, config);
    clips += Number(clip);
    const skip = clip ? clipSkip : 0;
    const graph = key(model, file) + (skip > 0 && part.tokens === 'last' ? `\u0000${skip}` : '');
    encoders[part.name] = own(lazyEncoder(part.name, width, length, async () => encoderOf(part, await loads.session(graph), tokenizer, { length, pooledWidth: pooled[part.name]!, skip, ...reading(), ...(!clip && { long: false }) })));
  }
  if (clipSkip > 0 && clips === 0) throw new CapabilityError('clip skip', `${family.title} reads no tokens of CLIP, so that there are no layers to skip — leave out clipSkip`);
  if (Object.keys(encoders).length === 0) throw new ModelError(`${index.files.location}: it has no text encoder`, 'text_encoder');
  return { encoders, widths: { tokens, pooled, lengths }, parameters, graphs };
}

/** SDXL's refiner reads the second encoder only. */
const isRefinerText = (part: TextPart, index: ModelIndex): boolean => part.name === 'clip' && index.pipeline.startsWith('StableDiffusionXL') && index.has('text_encoder_2');
