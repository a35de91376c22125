// A researcher's script: which expert answers at which σ, before and after cutting one in two, as a plot.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExpertEnsemble, float32, type Expert } from '@ediffi/core';
import { heun, karras } from '@ediffi/sampler';
import { loadBase } from 'ediffi';

interface Call {
  readonly sigma: number;
  readonly expert: string;
}

/** Heun's calls on a grid, each with the expert that its own σ chooses: two per step, and the second may be another's. */
async function callsOf(ensemble: ExpertEnsemble, steps: number): Promise<Call[]> {
  const calls: Call[] = [];
  const watch = async (x: Parameters<typeof heun>[1], sigma: number) => {
    calls.push({ sigma, expert: ensemble.at(sigma).name });
    return float32([0], x.shape); // who is asked does not depend on the answer
  };
  for await (const _ of heun(Object.assign(watch, { alpha: () => 1 }), float32([1], [1]), karras(steps, ensemble)));
  return calls;
}

/** Points over log σ, one row per expert. */
function plot(title: string, calls: readonly Call[], top: number): string {
  const names = [...new Set(calls.map(({ expert }) => expert))];
  const x = (sigma: number): number => 110 + (Math.log10(40 / sigma) / Math.log10(40 / 0.01)) * 560;
  const rows = names.map((name, i) => `<text x="100" y="${top + 34 + 24 * i}" text-anchor="end">${name}</text>`);
  const points = calls.map(({ sigma, expert }) => `<circle cx="${x(sigma).toFixed(1)}" cy="${top + 30 + 24 * names.indexOf(expert)}" r="5"/>`);
  const ticks = [40, 10, 1, 0.1, 0.01].map((sigma) => `<text x="${x(sigma)}" y="${top + 46 + 24 * names.length}" text-anchor="middle" fill="#777">σ ${sigma}</text>`);
  return [`<text x="110" y="${top + 8}" font-weight="bold">${title}</text>`, ...rows, ...points, ...ticks].join('');
}

/** Cuts the middle expert at σ = 1 and gives the lower half to another; answers with the plot's path and the calls of each expert. */
export async function main(folder = 'out', steps = 18): Promise<{ path: string; before: Record<string, number>; after: Record<string, number> }> {
  const pipeline = await loadBase();
  try {
    const ensemble = pipeline.parts.base.denoiser as ExpertEnsemble;
    const cut = (expert: Expert): Expert[] => (expert.name !== 'middle' ? [expert] : [{ ...expert, sigmaMin: 1 }, { ...expert, name: 'mine', sigmaMax: 1 }]);
    const changed = new ExpertEnsemble(ensemble.experts.flatMap(cut));
    const [before, after] = [await callsOf(ensemble, steps), await callsOf(changed, steps)];
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 300" font-family="sans-serif" font-size="13" fill="#335">${plot('as trained', before, 16)}${plot('the middle one cut at σ = 1', after, 158)}</svg>`;
    await mkdir(folder, { recursive: true });
    const path = join(folder, 'sigma-against-expert.svg');
    await writeFile(path, svg);
    const count = (calls: readonly Call[]): Record<string, number> => calls.reduce<Record<string, number>>((sum, { expert }) => ({ ...sum, [expert]: (sum[expert] ?? 0) + 1 }), {});
    return { path, before: count(before), after: count(after) };
  } finally {
    await pipeline.dispose();
  }
}
