import { gridNames, solverNames } from '../adapters/names.js';
import { schedulerClasses, fromDiffusers } from '../adapters/diffusers/from-diffusers.js';

const code = (names: readonly string[]): string => (names.length === 0 ? '—' : names.map((n) => `\`${n}\``).join(', '));

/** The name maps of docs/guide/solvers.md, in Markdown. */
export function nameTables(): string {
  const solvers = solverNames.map((s) => `| ${code([s.name])}${s.options ? ` \`${JSON.stringify(s.options).replaceAll('"', "'")}\`` : ''} | ${s.a1111.join(', ') || '—'} | ${code(s.comfy)} | ${[s.discard ? 'last but one σ left out' : '', s.note ?? ''].filter(Boolean).join('; ')} |`);
  const grids = gridNames.map((g) => `| ${code([g.name])} | ${g.a1111.join(', ') || '—'} | ${code(g.comfy)} |`);
  const classes = schedulerClasses.map((name) => {
    const recipe = fromDiffusers({ _class_name: name }, { steps: 8 });
    return `| \`${name}\` | \`${recipe.solver}\` | ${{ ve: 'x₀ + σ·n', vp: '√(1 − σ²)·x₀ + σ·n', flow: '(1 − σ)·x₀ + σ·n' }[recipe.form]} |`;
  });
  return ['| Solver | A1111 | ComfyUI | |', '| --- | --- | --- | --- |', ...solvers, '', '| Grid | A1111 | ComfyUI |', '| --- | --- | --- |', ...grids, '', '| diffusers | Solver | Latents |', '| --- | --- | --- |', ...classes].join('\n');
}
