import { zeros, type Conditioning } from '@ediffi/core';
import type { PipelineParts } from './parts.js';
import { planCalls } from './plan.js';
import { rangeOf, resolveStage } from './resolve.js';
import { expertsOf, isUpsampler, type BaseStage, type Upsampler } from './stage.js';

/** Options of Pipeline.describe. */
export interface DescribeOptions {
  /** Load every expert and time one network call at the default size, one picture. Default true. */
  readonly measure?: boolean;
}

/** A pipeline as a table of text: encoders, stages, experts with parameters, σ intervals, calls and cost. */
export async function describe(parts: PipelineParts, options: DescribeOptions): Promise<string> {
  const versions = Object.entries(parts.versions ?? {}).map(([name, version]) => `${name} ${version}`).join(' · ');
  const encoders = [...Object.values(parts.encoders), ...(parts.imageEncoder ? [parts.imageEncoder] : [])];
  const lines = [versions, `encoders  ${encoders.map((e) => `${e.name} (${'length' in e ? `${e.length} × ${e.width}` : `${e.size} px → ${e.width}`})`).join(', ') || 'none'}`];
  const { components } = parts;
  if (components) lines.push(`components  ${Object.entries(components).map(([name, parameters]) => `${name} ${millions(parameters)}`).join(', ')}`);
  let size = { width: parts.base.fixed?.[1] ?? parts.base.size, height: parts.base.fixed?.[0] ?? parts.base.size };
  for (const stage of [parts.base, ...(parts.upsamplers ?? [])]) {
    if (isUpsampler(stage)) size = { width: size.width * stage.factor, height: size.height * stage.factor };
    lines.push('', ...(await stageLines(stage, size, options)));
  }
  return lines.filter((line, i) => i > 0 || line).join('\n');
}

async function stageLines(stage: BaseStage | Upsampler, size: { width: number; height: number }, options: DescribeOptions): Promise<string[]> {
  const run = resolveStage(stage, {}, size);
  const planned = await planCalls(run);
  const { sigmaMin, sigmaMax } = rangeOf(stage);
  const s = isUpsampler(stage) ? stage.residualScale : 1;
  const kind = isUpsampler(stage) ? `enlarges ${stage.factor} ×${stage.optional ? ' (only when upscale names it)' : ''}, augmentation ${stage.augmentation}` : `multiples of ${stage.multiple}`;
  const guidance = typeof run.scale === 'function' ? 'function' : run.scale;
  const batch = guidance === 1 ? 'one row' : 'two rows (guidance)';
  const head = `${stage.name}  ${size.width} × ${size.height}, ${kind}; ${run.solverName} on ${run.gridName}, ${run.sigmas.length - 1} steps, guidance ${guidance}: ${batch} per call and picture`;
  const experts = expertsOf(stage);
  const rows = [['', 'parameters', 'noise interval', 'calls', ...(options.measure !== false ? ['per call'] : [])]];
  for (const expert of experts.length ? experts : [{ name: stage.name, sigmaMin: stage.denoiser.sigmaMin, sigmaMax: stage.denoiser.sigmaMax }]) {
    const parameters = stage.parameters?.[expert.name];
    const [low, high] = [Math.max(expert.sigmaMin * s, sigmaMin), expert.sigmaMax * s];
    rows.push([
      expert.name,
      parameters === undefined ? '?' : millions(parameters),
      `σ in (${number(low)}, ${number(Math.min(high, sigmaMax))}]${'guidance' in expert ? `, guidance ${expert.guidance}` : ''}`,
      String(planned.find((entry) => entry.name === expert.name)?.calls ?? 0),
      ...(options.measure !== false ? [`${(await callTime(stage, size, Math.sqrt(Math.max(expert.sigmaMin, stage.denoiser.sigmaMin, 1e-3) * expert.sigmaMax))).toFixed(0)} ms`] : []),
    ]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => [...row[column]!].length)));
  return [head, ...(stage.sites?.() ?? []).map((line) => `  ${line}`), ...rows.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd())];
}

const millions = (parameters: number): string => `${(parameters / 1e6).toFixed(2)} M`;
const number = (value: number): string => String(Number(value.toPrecision(4)));

/** Milliseconds of one network call on one picture at σ: the better of two, after one to load. */
async function callTime(stage: BaseStage | Upsampler, { width, height }: { width: number; height: number }, sigma: number): Promise<number> {
  const latents = isUpsampler(stage) ? undefined : stage.latents;
  const { channels = 3, factor = 1 } = latents ?? {};
  const shape = [height / factor, width / factor];
  const x = zeros([1, channels, ...shape]);
  const plain = { embeddings: {}, ...(isUpsampler(stage) && enlarged(stage, width, height)), ...(latents?.inpaints && { channels: zeros([1, 1 + channels, ...shape]) }) };
  const condition = stage.framed?.(plain, { width, height, role: 'positive', guidance: stage.defaults?.guidance ?? 1 }) ?? plain;
  let best = Infinity;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    (await stage.denoiser.denoise(x, sigma, condition)).dispose();
    if (i > 0) best = Math.min(best, performance.now() - start);
  }
  return best;
}

/** What a super-resolution stage is told of the picture it enlarges, here a grey one. */
function enlarged({ beside, inputs, factor, augmentation }: Upsampler, width: number, height: number): Pick<Conditioning, 'channels' | 'inputs'> {
  if (beside) return beside(zeros([1, 3, height, width]), augmentation, zeros([1, 3, height, width]));
  const names = inputs ?? { lowRes: 'low_res', augmentation: 'augmentation' };
  return { inputs: { [names.lowRes]: zeros([1, 3, height / factor, width / factor]), [names.augmentation]: zeros([1]) } };
}
