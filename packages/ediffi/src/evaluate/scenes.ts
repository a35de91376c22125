import { ModelError } from '@ediffi/core';
import type { Model } from '@ediffi/model';
import type { Features } from './frechet.js';
import type { Asked } from './judge.js';

/** A caption of the held-out evaluation set, and what a picture of it must show. */
export interface EvaluationScene {
  readonly caption: string;
  readonly asked: Asked;
  /** The pair of object and background was never in training. */
  readonly heldOut: boolean;
}

/** The evaluation set of a model: scenes, and features of real pictures of them, row by row. `again`: of a second picture of the same scenes. */
export interface EvaluationSet {
  readonly scenes: readonly EvaluationScene[];
  readonly real: Readonly<Record<'judge' | 'clip-image', Features>>;
  readonly again: Readonly<Record<'judge' | 'clip-image', Features>>;
  /** Share of right answers of the judge on the real pictures, by question. */
  readonly ceiling: Readonly<Record<string, number>>;
}

interface Packed {
  readonly width: number;
  readonly base64: string;
}

const unpacked = ({ width, base64 }: Packed): Features => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return { width, data: new Float32Array(bytes.buffer) };
};

/** Reads the evaluation set of a model. Rejects with ModelError when it has none or it is damaged. */
export async function evaluationSet(model: Model): Promise<EvaluationSet> {
  const file = await model.evaluation();
  const { scenes, real, again, ceiling } = file as { scenes: EvaluationScene[]; real: Record<'judge' | 'clip-image', Packed>; again: Record<'judge' | 'clip-image', Packed>; ceiling: Record<string, number> };
  const set = {
    scenes,
    real: { judge: unpacked(real.judge), 'clip-image': unpacked(real['clip-image']) },
    again: { judge: unpacked(again.judge), 'clip-image': unpacked(again['clip-image']) },
    ceiling,
  };
  for (const { data, width } of [...Object.values(set.real), ...Object.values(set.again)]) {
    if (data.length !== scenes.length * width) throw new ModelError(`evaluation set: ${data.length} numbers for ${scenes.length} scenes of width ${width} — the file is damaged`, 'evaluation');
  }
  return set;
}
