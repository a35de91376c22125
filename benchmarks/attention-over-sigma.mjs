// How attention moves while noise falls (eDiff-I, Fig. 3): share of the base's cross-attention on text against the learned null tokens, and
// T5 against CLIP, at each step, mean over the 24 fixed prompts.
//
//   node benchmarks/attention-over-sigma.mjs [--seed 7] [--save]     (--save: results/attention-over-sigma.json, docs/guide/*.svg and science.md)
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadBase } from 'ediffi';
import { plot, prompts, publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { seed: { type: 'string', default: '7' }, save: { type: 'boolean', default: false } } });
const model = await loadBase();
const steps = []; // by step: sums over prompts
for (const prompt of prompts) {
  const { attention } = await model.generate(prompt, { seed: Number(values.seed), attention: {} });
  attention.steps.forEach(({ sigma, expert, shares, words }, i) => {
    steps[i] ??= { sigma, expert, words: 0, ...Object.fromEntries(Object.keys(shares).map((name) => [name, 0])) };
    steps[i].words += words / prompts.length;
    for (const [name, share] of Object.entries(shares)) steps[i][name] += share / prompts.length;
  });
  process.stderr.write('.');
}
process.stderr.write('\n');
const experts = model.parts.base.denoiser.experts;
await model.dispose();

const rows = steps.map((step) => ({ ...step, text: step.t5 + step.clip }));
const curve = (name) => rows.map((row) => [row.sigma, row[name]]);
const range = [rows[0].sigma, rows.at(-1).sigma];
const svg = plot({
  title: 'Attention of the base model while noise falls',
  yName: `share of all cross-attention, mean over ${prompts.length} prompts, heads, layers and places`,
  curves: { 'T5 + CLIP text': curve('text'), T5: curve('t5'), CLIP: curve('clip'), 'words of the prompt': curve('words'), 'CLIP image (none given)': curve('clip-image'), 'null tokens': curve('null') },
  marks: experts.slice(1).map(({ sigmaMax, name }) => ({ sigma: sigmaMax, name: `${name} →` })),
  range,
});
const per = (name, list) => list.reduce((sum, row) => sum + row[name], 0) / list.length;
const percent = (v) => `${(100 * v).toFixed(1)} %`;
const byExpert = experts.map(({ name }) => [name, rows.filter((row) => row.expert === name)]).filter(([, list]) => list.length);
const [first, last] = [rows[0], rows.at(-1)];
const change = (name, key) => `${name} ${percent(first[key])} → ${percent(last[key])}`;
const markdown = `![attention over σ](attention-over-sigma.svg)\n\nFrom the first step to the last: ${change('T5', 't5')}, ${change('CLIP', 'clip')}, both together ${percent(first.text)} → ${percent(last.text)}, ${change('null', 'null')}.\n\n${table(['expert', 'σ', 'T5', 'CLIP', 'on the prompt’s words', 'null'], byExpert.map(([name, list]) => [name, `${list[0].sigma.toPrecision(3)} … ${list.at(-1).sigma.toPrecision(3)}`, ...['t5', 'clip', 'words', 'null'].map((key) => percent(per(key, list)))]))}`;
console.log(markdown);
if (values.save) {
  writeFileSync(new URL('../docs/guide/attention-over-sigma.svg', import.meta.url), svg);
  publish('attention-over-sigma', markdown, { prompts: prompts.length, seed: Number(values.seed), steps: rows.map((row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, typeof v === 'number' ? Number(v.toPrecision(4)) : v]))) });
}
