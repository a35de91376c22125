import { columnsOf, findPhrase, OptionError, PhraseError, ShapeError, type Abort, type Conditioning, type PaintWithWords, type PromptEmbedding, type PromptEncoder } from '@ediffi/core';
import type { Prompt } from './options.js';
import type { Stage } from './stage.js';

/**
 * The text each chosen encoder is given; those of the pipeline that are not chosen get none. Throws OptionError for a prompt that is neither form, names an encoder
 * that the pipeline does not have, or says nothing to any chosen one.
 */
export function textsOf(prompt: Prompt, chosen: readonly string[], available: Readonly<Record<string, unknown>>, option = 'prompt'): Readonly<Record<string, string>> {
  if (typeof prompt === 'string') return Object.fromEntries(chosen.map((name) => [name, prompt]));
  if (typeof prompt !== 'object' || prompt === null || Array.isArray(prompt)) throw new OptionError(option, prompt, 'one prompt, a string or { t5, clip }');
  const known = Object.keys(available);
  const unknown = Object.keys(prompt).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new OptionError(option, unknown, `texts for some of ${known.join(', ') || '(none)'}, the text encoders of this pipeline`);
  const texts: Record<string, string> = {};
  for (const [name, text] of Object.entries(prompt)) {
    if (typeof text !== 'string') throw new OptionError(`${option}.${name}`, text, 'a string');
    if (chosen.includes(name)) texts[name] = text;
  }
  if (chosen.length > 0 && Object.keys(texts).length === 0) throw new OptionError(option, `{ ${Object.keys(prompt).join(', ')} }`, `a text for at least one of ${chosen.join(', ')}, the encoders that read it`);
  return texts;
}

/** The text encoders to use. Throws OptionError for what is no list, or names the pipeline does not have. */
export function chosenEncoders(wanted: readonly string[] | undefined, available: Readonly<Record<string, PromptEncoder>>): readonly string[] {
  if (wanted !== undefined && !Array.isArray(wanted)) throw new OptionError('encoders', wanted, "a list of names, such as ['t5']");
  const known = Object.keys(available);
  const unknown = wanted?.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new OptionError('encoders', unknown, `some of ${known.join(', ') || '(none: this pipeline has no text encoder)'}; for a reference picture, set style`);
  return wanted ?? known;
}

/** Refuses encoders whose embeddings the network cannot take. Throws ShapeError, before anything is encoded. */
export function checkWidths(encoders: Readonly<Record<string, { readonly width: number }>>, stages: readonly Stage[]): void {
  for (const { name: stage, widths } of stages) {
    for (const [name, { width }] of Object.entries(encoders)) {
      const wanted = widths?.[name];
      if (wanted !== undefined && wanted !== width) throw new ShapeError(`encoder '${name}'`, `width ${wanted}, as ${stage} takes`, `${width}`, 'use the encoder that the model was trained with');
    }
  }
}

/** Texts as one string: equal texts are it; different ones are joined, and each encoder's spans are moved to its own part. */
interface Joined {
  readonly prompt: string;
  readonly offsets: Readonly<Record<string, number>>;
}

function joined(texts: Readonly<Record<string, string>>): Joined {
  const distinct = [...new Set(Object.values(texts))];
  const starts = distinct.map((_, i) => distinct.slice(0, i).reduce((sum, text) => sum + text.length + 1, 0));
  return { prompt: distinct.join('\n'), offsets: Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, starts[distinct.indexOf(text)]!])) };
}

/** Throws PhraseError unless every painted phrase is in the texts; OptionError where painting cannot be meant. */
export function checkPaint(paint: PaintWithWords, texts: Readonly<Record<string, string>>): void {
  if (Object.keys(texts).length === 0) throw new OptionError('paint', 'without a text encoder', 'at least one of the encoders t5 and clip: painted words live in their tokens');
  const { prompt } = joined(texts);
  if (new Set(Object.values(texts)).size > 1 && paint.regions.some((region) => region.occurrence !== undefined)) throw new OptionError('occurrence', 'given', 'one prompt for all encoders: counting occurrences over two texts is ambiguous');
  paint.check(prompt);
}

/** How many windows the longest of several prompts' texts takes in any encoder: given to each, their embeddings have as many columns. */
export async function windowsOf(prompts: readonly Readonly<Record<string, string>>[], encoders: Readonly<Record<string, PromptEncoder>>): Promise<number> {
  let most = 1;
  for (const [name, text] of prompts.flatMap((texts) => Object.entries(texts))) if (text.trim() !== '') most = Math.max(most, (await encoders[name]!.windows?.([text])) ?? 1);
  return most;
}

/** One row of conditioning for a prompt. Encoders that read an empty text are left out, because absent is zeros, unless `emptyToo`. */
export async function encodeTexts(texts: Readonly<Record<string, string>>, encoders: Readonly<Record<string, PromptEncoder>>, options: { readonly paint?: PaintWithWords; readonly signal?: Abort; readonly emptyToo?: boolean; readonly windows?: number }): Promise<Conditioning> {
  const { prompt, offsets } = joined(texts);
  const call = { ...(options.signal && { signal: options.signal }), ...(options.windows !== undefined && { windows: options.windows }) };
  const used = Object.entries(texts).filter(([, text]) => options.emptyToo || text.trim() !== '');
  const embeddings: Record<string, PromptEmbedding> = {};
  for (const [name, text] of used) {
    const embedding = await encoders[name]!.encode([text], call);
    const shift = offsets[name]!;
    embeddings[name] = shift === 0 ? embedding : { ...embedding, spans: embedding.spans.map((row) => row.map((span) => ({ ...span, start: span.start + shift, end: span.end + shift }))) };
  }
  if (options.paint) checkVisible(options.paint, prompt, embeddings);
  return { prompts: [prompt], embeddings, ...(options.paint && { regions: options.paint }) };
}

/** A phrase that every encoder cut off would be painted in vain: throws PhraseError. */
function checkVisible(paint: PaintWithWords, prompt: string, embeddings: Readonly<Record<string, PromptEmbedding>>): void {
  for (const { phrase, occurrence } of paint.regions) {
    const ranges = findPhrase(prompt, phrase, occurrence);
    if (Object.values(embeddings).some(({ spans }) => columnsOf(spans[0] ?? [], ranges).length > 0)) continue;
    throw new PhraseError(`"${phrase}" is in the part of the prompt that no encoder reads (${Object.entries(embeddings).map(([name, e]) => `${name}: ${e.length} tokens`).join(', ')}) — shorten the prompt`, phrase, prompt, []);
  }
}
