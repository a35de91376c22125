import { finiteNumber, integer, OptionError, type Abort, type HostTensor } from '@ediffi/core';
import { clipScores } from './clip-score.js';
import type { ReadyCall } from './generate.js';
import { mapped } from './mapped.js';
import type { GenerateOptions, Prompt } from './options.js';
import { painting, type Painting } from './painting.js';
import type { GeneratedImage } from './pictures/generated-image.js';
import type { Pipeline } from './pipeline.js';
import type { GenerationStep } from './step.js';

/** How well a picture `[1, 3, H, W]` in −1…1, as the base stage paints it, is what the prompt asks for: the more, the better. */
export type Score = (picture: HostTensor, prompt: string, call: { readonly signal?: Abort }) => number | Promise<number>;

/** Options of bestOf: those of generate, but for the noise. */
export interface BestOptions extends Omit<GenerateOptions, 'noise'> {
  /** How many are painted by the base stage, with `seed`, `seed` + 1, …: 1 to 64, default 4. */
  readonly candidates?: number;
  /** Default: the cosine of the pipeline's own CLIP encoders. */
  readonly score?: Score;
}

/** The candidate with the highest score, as generate paints its seed, and all of them, the best first. */
export interface Best {
  readonly picture: GeneratedImage;
  readonly candidates: readonly { readonly seed: number; readonly score: number }[];
}

/** A step of one of the candidates, or of the stages that finish the best of them. */
export interface BestStep extends GenerationStep {
  readonly seed: number;
}

/**
 * Paints candidates with the base stage alone, lets CLIP say which fits the prompt best, and finishes that one: reranking, DALL·E's way (arXiv 2102.12092, § 2.6). It is, byte for byte, what
 * `generate` paints of its seed. Where attention is asked for, the base stage runs once more for it: only the best one's is watched.
 * Rejects with a typed error before any work for illegal options, and with OptionError for a pipeline without both CLIP encoders when there is no `score`.
 */
export const bestOf = (pipeline: Pipeline, prompt: Prompt, options: BestOptions = {}): Painting<Best, BestStep> => painting(candidatesThenBest(pipeline, prompt, options));

async function* candidatesThenBest(pipeline: Pipeline, prompt: Prompt, { candidates = 4, score: given, ...options }: BestOptions): AsyncGenerator<BestStep, Best, void> {
  if ((options as GenerateOptions).noise !== undefined) throw new OptionError('noise', 'a tensor', 'none: the candidates differ by their noise');
  const [{ finishPictures, paintBase, readyCall }, { resolveSeeds }] = await Promise.all([import('./generate.js'), import('./resolve.js')]); // as generate: a page loads them when it paints
  const seeds = resolveSeeds({ ...options, count: integer('candidates', candidates, 1, 64) });
  const score = given ?? clipScore(pipeline);
  const { watch, ...ready } = await readyCall(pipeline.parts, prompt, { ...options, seed: seeds[0]! });
  const of = (seed: number): ReadyCall => ({ ...ready, request: { ...ready.request, seeds: [seed] } });
  const text = typeof prompt === 'string' ? prompt : (prompt['clip'] ?? Object.values(prompt)[0] ?? '');
  const found: { seed: number; score: number }[] = [];
  let best: { seed: number; painted: HostTensor; score: number } | undefined;
  for (const seed of seeds) {
    const painted = yield* seeded(paintBase(of(seed)), seed);
    const points = finiteNumber('score', await score(painted, text, ready.call));
    found.push({ seed, score: points });
    if (!best || points > best.score) best = { seed, painted, score: points };
  }
  const { seed, painted } = best!;
  const chosen = { ...of(seed), ...(watch && { watch }) };
  const [picture] = yield* seeded(finishPictures(chosen, watch ? yield* seeded(paintBase(chosen), seed) : painted), seed);
  return { picture: picture!, candidates: found.sort((a, b) => b.score - a.score) };
}

/** Steps, each with its seed. */
const seeded = <T>(steps: AsyncGenerator<GenerationStep, T, void>, seed: number): AsyncGenerator<BestStep, T, void> => mapped(steps, async (step) => ({ ...step, seed }));

function clipScore({ parts: { encoders, imageEncoder: image } }: Pipeline): Score {
  const text = encoders['clip'];
  if (!image || !text) throw new OptionError('score', 'none', 'a function, for a pipeline that has not both CLIP encoders, text and image');
  return async (picture, prompt, call) => (await clipScores(picture, [prompt], { text, image }, call))[0]!;
}
