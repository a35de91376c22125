import { loadModel } from '@ediffi/model';
import type { Io } from './io.js';
import { modelOf, type ModelArguments } from './model.js';

/** Options of `ediffi describe` as typed. */
export interface DescribeArguments extends ModelArguments {
  readonly words?: boolean;
  readonly measure: boolean;
}

/** `ediffi describe`: the model's stages, experts, intervals and costs, or the words it knows, on stdout. */
export async function describeCommand(typed: DescribeArguments, io: Io): Promise<void> {
  if (typed.words) {
    const { card } = await loadModel({ ...(typed.model !== undefined && { folder: typed.model }), verify: false });
    const signs = card.signs ? { signs: [`capitals ${card.signs.letters}, up to ${card.signs.longest} (a sign that says HI)`] } : {};
    const kinds = Object.entries({ ...card.words, ...signs }).filter(([, words]) => words.length > 0);
    const width = Math.max(...kinds.map(([kind]) => kind.length));
    io.out.write(`${kinds.map(([kind, words]) => `${kind.padEnd(width)}  ${words.join(' ')}`).join('\n')}\n`);
    return;
  }
  const ediffi = await modelOf(typed, io);
  try {
    io.out.write(`${await ediffi.describe({ measure: typed.measure })}\n`);
  } finally {
    await ediffi.dispose();
  }
}
