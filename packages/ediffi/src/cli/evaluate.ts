import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OptionError, type HostTensor } from '@ediffi/core';
import { evaluateModel, featuresOf, frechetOf, kid, loadEdiffi, loadJudge, tensorOf, type Estimate, type Evaluation } from '../index.js';
import { numberOption, readInput, UsageError, type Io } from './io.js';

/** Options of `ediffi evaluate` as typed. */
export interface EvaluateArguments {
  readonly against?: string;
  readonly count: string;
  readonly seed: string;
  readonly bestOf?: string;
  readonly steps?: string;
  readonly guidance?: string;
  readonly solver?: string;
  readonly encoders?: string;
  readonly upscale?: boolean | string;
  readonly json?: boolean;
  readonly model?: string;
}

/** `ediffi evaluate`: the model's own pictures of held-out captions, or a folder of pictures against another; results on stdout. */
export async function evaluateCommand(folder: string | undefined, typed: EvaluateArguments, io: Io): Promise<void> {
  if ((folder === undefined) !== (typed.against === undefined)) throw new UsageError('evaluate: give a folder of PNG files and --against another one, or neither for the model itself');
  const where = { ...(typed.model !== undefined && { folder: typed.model }), ...(io.signal && { signal: io.signal }) };
  const [count, seed] = [numberOption(typed.count, '--count'), numberOption(typed.seed, '--seed')];
  const candidates = typed.bestOf === undefined ? {} : { candidates: numberOption(typed.bestOf, '--best-of') };
  const paint = {
    ...(typed.upscale !== undefined && { upscale: typed.upscale }),
    ...(typed.steps !== undefined && { steps: numberOption(typed.steps, '--steps') }),
    ...(typed.guidance !== undefined && { guidance: numberOption(typed.guidance, '--guidance') }),
    ...(typed.solver !== undefined && { solver: typed.solver }),
    ...(typed.encoders !== undefined && { encoders: typed.encoders.split(',').map((name) => name.trim()).filter(Boolean) }),
  };
  const folders = folder === undefined ? [] : [await pictures(folder, 'folder'), await pictures(typed.against!, '--against')];
  const { judge, set } = await loadJudge(where);
  const ediffi = await loadEdiffi(where).catch(async (error: unknown) => {
    await judge.dispose();
    throw error;
  });
  const call = io.signal ? { signal: io.signal } : {};
  try {
    if (folders.length === 0) {
      const run = evaluateModel(ediffi, judge, set, { count, seed, paint, ...candidates, ...call });
      let step = await run.next();
      for (; !step.done; step = await run.next()) if (io.err.isTTY) io.err.write(`\r${step.value.done}/${step.value.count} pictures`);
      if (io.err.isTTY) io.err.write('\r\x1b[K');
      io.out.write(typed.json ? `${JSON.stringify(step.value, null, 2)}\n` : table(step.value));
      return;
    }
    if (!ediffi.parts.imageEncoder) throw new OptionError('model', 'without an image encoder', 'one with a CLIP image encoder');
    const [a, b] = [await featuresOf(folders[0]!, judge, ediffi.parts.imageEncoder, call), await featuresOf(folders[1]!, judge, ediffi.parts.imageEncoder, call)];
    const found = (['judge', 'clip-image'] as const).map((kind) => ({ features: kind, frechet: frechetOf(a[kind], b[kind]), kid: kid(a[kind], b[kind]) }));
    const sizes = { pictures: folders[0]!.length, against: folders[1]!.length };
    if (typed.json) io.out.write(`${JSON.stringify({ ...sizes, distances: found }, null, 2)}\n`);
    else io.out.write(`${sizes.pictures} pictures against ${sizes.against}\n${found.map((row) => `${row.features.padEnd(11)} Fréchet distance ${row.frechet.toFixed(3)}, KID ${row.kid.toFixed(4)}\n`).join('')}`);
  } finally {
    await ediffi.dispose();
    await judge.dispose();
  }
}

/** The PNG files of a folder, in the order of their names. Rejects with UsageError for fewer than two. */
async function pictures(folder: string, option: string): Promise<HostTensor[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw new UsageError(`${option}: cannot read the folder ${folder}`, { cause });
  });
  const files = names.filter((name) => /\.png$/i.test(name)).sort();
  if (files.length < 2) throw new UsageError(`${option}: ${files.length} PNG files in ${folder}, two or more are needed`);
  return Promise.all(files.map(async (name) => tensorOf(await readInput(join(folder, name), option), name)));
}

/** The results for reading. */
export function table(found: Evaluation): string {
  const range = ({ low, high }: Estimate, digits: number): string => `${low.toFixed(digits)} … ${high.toFixed(digits)}`;
  const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
  const lines = [
    `${found.pictures} pictures of held-out captions, seed ${found.seed} (in brackets: 95 % intervals)`,
    `CLIP score  ${found.clipScore.value.toFixed(3)} [${range(found.clipScore, 3)}]`,
    ...Object.entries(found.features).map(([kind, d]) => `${kind} features: Fréchet distance ${d.frechet.value.toFixed(2)} [${range(d.frechet, 2)}] (real pictures: ${d.frechetOfReal.toFixed(2)}), KID ${d.kid.toFixed(4)} (${d.kidOfReal.toFixed(4)})`),
    'seen by the judge:',
    ...Object.entries(found.shown).map(([question, { asked, share, ceiling }]) => `  ${question.padEnd(31)} ${percent(share.value).padStart(5)} of ${asked} [${percent(share.low)} … ${percent(share.high)}]${Number.isFinite(ceiling) ? `, on real pictures ${percent(ceiling)}` : ''}`),
  ];
  return `${lines.join('\n')}\n`;
}
