import { floats, integer, ModelError, type Abort } from '@ediffi/core';
import { bestOf } from '../best-of.js';
import { clipScores } from '../clip-score.js';
import type { GenerateOptions } from '../options.js';
import { tensorOf } from '../pictures/input.js';
import type { Pipeline } from '../pipeline.js';
import { bootstrap, type Estimate } from './bootstrap.js';
import { sampleCaptions } from './captions.js';
import { frechetFrom, momentsOf, type Features } from './frechet.js';
import { judged, type Judge } from './judge.js';
import { kid } from './kid.js';
import { rowsAt } from './pictures.js';
import type { EvaluationSet } from './scenes.js';

/**
 * Options of evaluateModel. `count` captions (2 or more, default 64) drawn with `seed`; picture i is painted with seed + i; `paint`: any option of generate.
 * `candidates`: each picture is the best of so many by CLIP (bestOf), no two painted with the same seed.
 */
export interface EvaluateOptions {
  readonly count?: number;
  readonly seed?: number;
  readonly candidates?: number;
  readonly paint?: Omit<GenerateOptions, 'seed' | 'signal'>;
  readonly signal?: Abort;
}

/**
 * Distances of one kind of features: to real pictures of the same scenes, and of a second set of real pictures (what a perfect model would get).
 * Because the scenes are the same, even KID is lower than between independent sets: compare with `kidOfReal`, not with 0.
 */
export interface Distances {
  readonly frechet: Estimate;
  readonly frechetOfReal: number;
  readonly kid: number;
  readonly kidOfReal: number;
}

/** What evaluateModel found. Shares and the CLIP score have 95 % bootstrap intervals. */
export interface Evaluation {
  readonly pictures: number;
  readonly seed: number;
  readonly clipScore: Estimate;
  readonly features: Readonly<Record<'judge' | 'clip-image', Distances>>;
  /** By question: of how many pictures it was asked, the share that shows it, and the judge's own share on real pictures. */
  readonly shown: Readonly<Record<string, { readonly asked: number; readonly share: Estimate; readonly ceiling: number }>>;
}

/**
 * Scenes with one object, with two, with several alike ("three cats"), and with an object on a background that was held out of its training pictures,
 * apart: the question "object" means little over all of them.
 */
function questionsOf(scene: EvaluationSet['scenes'][number]): readonly string[] {
  const object = scene.asked['object'];
  const objects = typeof object === 'string' ? [object] : object;
  const several = objects !== undefined && Number(scene.asked['count']) > objects.length;
  const number = objects && `object of ${several ? 'several' : objects.length === 1 ? 'one' : 'two'}`;
  const named = number === undefined ? [] : [number, ...(scene.heldOut ? ['object of a held-out pair', `${number}, held-out pair`] : [])];
  return [...named, ...(several ? ['count of several'] : []), ...Object.keys(scene.asked).filter((question) => question !== 'object')];
}

/** Paints captions of the evaluation set and measures the pictures; yields how many are done. Rejects with OptionError for illegal options. */
export async function* evaluateModel(pipeline: Pipeline, judge: Judge, set: EvaluationSet, options: EvaluateOptions = {}): AsyncGenerator<{ done: number; count: number }, Evaluation, void> {
  const { seed = 0, candidates = 1, signal } = options;
  const { imageEncoder: image, encoders } = pipeline.parts;
  const text = encoders['clip'];
  if (!image || !text) throw new ModelError('evaluate: the model has no CLIP text and image encoders', 'card.json');
  const count = integer('count', options.count ?? 64, 2, set.scenes.length); // distances are between the moments of sets: one picture has none
  const chosen = sampleCaptions(set.scenes.map((_, i) => i), count, seed);
  const call = signal ? { signal } : {};
  const painted: Record<'judge' | 'clip-image', number[]> = { judge: [], 'clip-image': [] };
  const scores: number[] = [];
  const hits = new Map<string, number[]>();
  for (const [i, row] of chosen.entries()) {
    signal?.throwIfAborted();
    const scene = set.scenes[row]!;
    const how = { ...options.paint, ...call, seed: seed + i * candidates };
    const painting = candidates === 1 ? pipeline.generate(scene.caption, how) : bestOf(pipeline, scene.caption, { ...how, candidates }).finish().then((best) => best.picture);
    const picture = tensorOf((await painting).tensor, 'picture');
    const verdicts = await judge.look(picture, call);
    painted.judge.push(...verdicts.features);
    painted['clip-image'].push(...(await floats((await image.encode(picture, call)).pooled!)));
    scores.push(...(await clipScores(picture, [scene.caption], { text, image }, call)));
    const right = judged(judge, verdicts, scene.asked);
    for (const question of questionsOf(scene)) hits.set(question, [...(hits.get(question) ?? []), Number(right[question.split(' of ')[0]!])]);
    yield { done: i + 1, count };
  }
  const shown = [...hits].map(([question, values]) => [question, { asked: values.length, share: bootstrap(values.length, (rows) => average(values, rows), { seed }), ceiling: set.ceiling[question] ?? Number.NaN }] as const);
  const distances = (kind: 'judge' | 'clip-image'): Distances => distancesOf({ width: set.real[kind].width, data: painted[kind] }, rowsAt(set.real[kind], chosen), rowsAt(set.again[kind], chosen), seed);
  return {
    pictures: count,
    seed,
    clipScore: bootstrap(count, (rows) => average(scores, rows), { seed }),
    features: { judge: distances('judge'), 'clip-image': distances('clip-image') },
    shown: Object.fromEntries(shown),
  };
}

/** Drawing pictures twice makes every draw's distance larger; how much draws differ is what tells the uncertainty. */
const centred = ({ value, low, high }: Estimate): Estimate => ({ value, low: value - (high - low) / 2, high: value + (high - low) / 2 });

const average = (values: readonly number[], rows: readonly number[]): number => rows.reduce((sum, row) => sum + values[row]!, 0) / rows.length;

function distancesOf(painted: Features, real: Features, again: Features, seed: number): Distances {
  const count = real.data.length / real.width;
  const distance = frechetFrom(momentsOf(real));
  return {
    frechet: centred(bootstrap(count, (rows) => distance(momentsOf(rowsAt(painted, rows))), { draws: 40, seed })),
    frechetOfReal: distance(momentsOf(again)),
    kid: kid(painted, real),
    kidOfReal: kid(again, real),
  };
}
