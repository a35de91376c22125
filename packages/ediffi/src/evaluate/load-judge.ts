import { ModelError } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { loadModel } from '@ediffi/model';
import type { LoadEdiffiOptions } from '../load.js';
import { createJudge, type Judge } from './judge.js';
import { evaluationSet, type EvaluationSet } from './scenes.js';

/** Opens a model's judge and its evaluation set; dispose the judge. Rejects with ModelError when the model has none. */
export async function loadJudge(options: LoadEdiffiOptions = {}): Promise<{ judge: Judge; set: EvaluationSet }> {
  const model = await loadModel({ ...options, verify: false });
  const card = model.card.evaluation;
  if (!card) throw new ModelError(`${model.card.name}: the card has no evaluation set, so that nothing can judge its pictures`, 'card.json');
  const backend = options.backend ?? ortNode();
  const own = async (): Promise<void> => void (options.backend || (await backend.dispose()));
  try {
    const set = await evaluationSet(model);
    const judge = createJudge(await backend.load(model.source(card.file), options.threads === undefined ? {} : { threads: options.threads }), card);
    return { set, judge: { ...judge, dispose: () => judge.dispose().then(own) } };
  } catch (error) {
    await own();
    throw error;
  }
}
