import { float32, floats, ModelError, resizePlanes, ShapeError, shapeText, type Abort, type HostTensor, type Session } from '@ediffi/core';
import type { CardEvaluation } from '@ediffi/model';

/** What a judge sees in a batch of pictures: features, and for each question the score of each answer. */
export interface Verdicts {
  /** `[B, width]`, row-major. */
  readonly features: Float32Array;
  /** By question: `[B, answers]`. */
  readonly scores: Readonly<Record<string, Float32Array>>;
}

/** A classifier that was trained apart from the generator. */
export interface Judge {
  readonly width: number;
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** pictures `[B, 3, H, W]` in −1…1, any size. */
  look(pictures: HostTensor, options?: { readonly signal?: Abort }): Promise<Verdicts>;
  dispose(): Promise<void>;
}

/** A judge over a graph pixel_values `[B, 3, size, size]` → features and one output per question. Takes over the session. Throws ModelError when the graph is not one. */
export function createJudge(session: Session, { size, width, labels }: CardEvaluation): Judge {
  const missing = ['features', ...Object.keys(labels)].find((name) => !session.outputs.some((output) => output.name === name));
  if (missing !== undefined) throw new ModelError(`${session.name}: the graph has no output ${missing}`, session.name);
  return {
    width,
    labels,
    async look(pictures, call = {}) {
      const [batch = 0, channels, height = 0, wide = 0] = pictures.shape;
      if (pictures.shape.length !== 4 || channels !== 3 || batch * height * wide === 0) throw new ShapeError('pictures', '[B, 3, H, W], not empty', shapeText(pictures.shape));
      const pixels = float32(resizePlanes(pictures.data, batch * 3, height, wide, size, size), [batch, 3, size, size]);
      const outputs = await session.run({ pixel_values: pixels }, call.signal ? { signal: call.signal } : {});
      const scores: Record<string, Float32Array> = {};
      for (const question of Object.keys(labels)) scores[question] = await floats(outputs[question]!);
      return { features: await floats(outputs['features']!), scores };
    },
    dispose: () => session.dispose(),
  };
}

/** Answers to a question for picture `row`, the likeliest first. */
export function ranked(judge: Judge, verdicts: Verdicts, question: string, row = 0): string[] {
  const answers = judge.labels[question] ?? [];
  const scores = verdicts.scores[question]!.subarray(row * answers.length, (row + 1) * answers.length);
  return answers.map((answer, i) => ({ answer, score: scores[i]! })).sort((a, b) => b.score - a.score).map(({ answer }) => answer);
}

/** What a picture should show, by question: one answer, or several that must all be among as many likeliest ones. */
export type Asked = Readonly<Record<string, string | readonly string[]>>;

/** By question: whether the judge sees in picture `row` what was asked for. */
export function judged(judge: Judge, verdicts: Verdicts, asked: Asked, row = 0): Record<string, boolean> {
  return Object.fromEntries(
    Object.entries(asked).map(([question, wanted]) => {
      const all = typeof wanted === 'string' ? [wanted] : wanted;
      const likeliest = ranked(judge, verdicts, question, row).slice(0, all.length);
      return [question, all.every((answer) => likeliest.includes(answer))];
    }),
  );
}
