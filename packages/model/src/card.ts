import { coverage, ModelError } from '@ediffi/core';

/** One weight file: its hash, size and number of parameters. */
export interface CardFile {
  readonly sha256: string;
  readonly bytes: number;
  readonly parameters: number;
}

/** An encoder of the model; `tokenizer` for text, `size` (pixels) for pictures. */
export interface CardEncoder {
  readonly file: string;
  readonly width: number;
  readonly tokenizer?: string;
  readonly length?: number;
  readonly pooled?: number;
  readonly size?: number;
}

/** One denoiser and its noise range (sigmaMin, sigmaMax]. */
export interface CardExpert {
  readonly name: string;
  readonly file: string;
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly guidance?: number;
}

/** What a stage does unless told otherwise. */
export interface CardDefaults {
  readonly solver: string;
  readonly grid: string;
  readonly steps: number;
  readonly guidance: number;
  /** w′ of paint-with-words. */
  readonly paint?: number;
  /** Weight of painted phrases outside their masks, −1 to 0. */
  readonly outside?: number;
}

/** One stage of the cascade. σ of a super-resolution stage (`factor` given) are in units of the residual. */
export interface CardStage {
  readonly name: string;
  readonly sigmaData: number;
  readonly cNoise: 'log' | 'log/4';
  readonly sigmaMin: number;
  readonly sigmaMax: number;
  readonly experts: readonly CardExpert[];
  readonly defaults: CardDefaults;
  /** Base stage: edge length it was trained at, and what width and height must be multiples of. */
  readonly size?: number;
  readonly multiple?: number;
  /** Super-resolution stage: enlargement, scale of the residual, standard deviation of the noise added to its input. */
  readonly factor?: number;
  readonly residualScale?: number;
  readonly augmentation?: number;
  /** It, and every stage after it, runs only when asked for by name. */
  readonly optional?: boolean;
}

/** The judge of a model's pictures, a classifier trained apart, and the held-out captions it is asked about. */
export interface CardEvaluation {
  readonly file: string;
  /** Edge length of the pictures it takes, and width of its features. */
  readonly size: number;
  readonly width: number;
  /** Answers by question. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** File of the captions, in evaluation/. */
  readonly scenes: string;
}

/** Words that the model spells instead of knowing them. */
export interface CardSigns {
  readonly letters: string;
  readonly longest: number;
}

/** `card.json`: everything about a model that its graphs do not say themselves. */
export interface ModelCard {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly files: Readonly<Record<string, CardFile>>;
  readonly encoders: Readonly<Record<string, CardEncoder>>;
  readonly stages: readonly CardStage[];
  /** Words that occur in its training captions, by kind. */
  readonly words: Readonly<Record<string, readonly string[]>>;
  /** What signs can say: words in capitals of these letters, up to so many. Absent: signs were not trained. */
  readonly signs?: CardSigns;
  readonly evaluation?: CardEvaluation;
}

type Fields = Record<string, unknown>;
const number = (v: unknown): boolean => typeof v === 'number' && Number.isFinite(v);
const text = (v: unknown): boolean => typeof v === 'string' && v !== '';

function demand(where: string, value: unknown, fields: Record<string, (v: unknown) => boolean>): Fields {
  if (typeof value !== 'object' || value === null) throw new ModelError(`card.json: ${where} is missing — the model folder is incomplete`, 'card.json');
  for (const [name, legal] of Object.entries(fields)) {
    const found = (value as Fields)[name];
    if (!legal(found)) throw new ModelError(`card.json: ${where}.${name} is ${found === undefined ? 'missing' : `illegal (${JSON.stringify(found)?.slice(0, 60)})`}`, 'card.json');
  }
  return value as Fields;
}

const range = { name: text, sigmaMin: (v: unknown) => number(v) && (v as number) > 0, sigmaMax: number };

/** Reads and checks a card. Throws ModelError naming the first field that is missing, illegal or contradicts another. */
export function parseCard(json: string): ModelCard {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new ModelError('card.json: not JSON — the file is damaged', 'card.json', { cause });
  }
  demand('the card', value, { name: text, version: text, stages: (v) => Array.isArray(v) && v.length > 0 });
  const card = value as ModelCard;
  demand('files', card.files, {});
  demand('encoders', card.encoders, {});
  demand('words', card.words, {});
  const known = (v: unknown): boolean => text(v) && typeof card.files[v as string] === 'object';
  for (const [name, file] of Object.entries(card.files)) demand(`files['${name}']`, file, { sha256: (v) => /^[0-9a-f]{64}$/.test(String(v)), bytes: number, parameters: number });
  for (const [name, encoder] of Object.entries(card.encoders)) {
    demand(`encoders['${name}']`, encoder, { file: known, width: number, ...(encoder.tokenizer === undefined ? { size: number } : { tokenizer: text, length: number }) });
  }
  if (card.signs) demand('signs', card.signs, { letters: text, longest: number });
  if (card.evaluation) demand('evaluation', card.evaluation, { file: known, size: number, width: number, scenes: text, labels: (v) => typeof v === 'object' && v !== null && Object.values(v).every(Array.isArray) });
  card.stages.forEach((stage, i) => {
    const where = `stages[${i}]`;
    demand(where, stage, { ...range, sigmaData: number, cNoise: (v) => v === 'log' || v === 'log/4', experts: (v) => Array.isArray(v) && v.length > 0, ...(i === 0 ? { size: number, multiple: number } : { factor: number, residualScale: number, augmentation: number }) });
    demand(`${where}.defaults`, stage.defaults, { solver: text, grid: text, steps: number, guidance: number });
    stage.experts.forEach((expert, k) => demand(`${where}.experts[${k}]`, expert, { ...range, file: known }));
    const { gaps, overlaps } = coverage(stage.experts);
    if (gaps.length || overlaps.length) throw new ModelError(`card.json: the experts of ${where} ${gaps.length ? `leave a gap at σ in (${gaps[0]!.join(', ')}]` : `overlap at σ in (${overlaps[0]!.join(', ')}]`}`, 'card.json');
  });
  return card;
}
