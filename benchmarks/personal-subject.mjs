// A personal subject (DreamBooth, arXiv 2208.12242; LoRA, arXiv 2106.09685): which expert has to learn it, how strong, and what else changes.
//
//   node benchmarks/personal-subject.mjs [--steps 15] [--sheet out/personal.png] [--save]
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadBase, pictureOf, resized, tensorOf } from 'ediffi';
import { importExample } from './lib/example.mjs';
import { distance, mean, publish, table } from './lib/science.mjs';
import { writeSheet } from './lib/sheet.mjs';

const { values } = parseArgs({ options: { steps: { type: 'string', default: '15' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const steps = Number(values.steps);
const SUBJECT = ['a sks in the snow', 'a sks on the beach', 'a sks in space', 'a sks on a green background', 'a sks on a pink background', 'a sks at sunset', 'a sks in the forest', 'a sks in the desert'];
const OTHERS = ['a cat on grass', 'a red car on the beach', 'a mushroom in the forest', 'a penguin in the snow', 'a rocket in space', 'a yellow star on a blue background'];
const WAYS = [['without', 0, []], ['all three experts, weight 1', 1, ['high', 'middle', 'low']], ['all three, weight 0.5', 0.5, ['high', 'middle', 'low']], ['high alone', 1, ['high']], ['middle alone', 1, ['middle']], ['low alone', 1, ['low']], ['high and middle', 1, ['high', 'middle']]];

const { likeness, main, flamingo } = await importExample('personal-subject');

const rows = [];
for (const [way, weight, experts] of WAYS) {
  const model = await loadBase({ loras: await flamingo(weight, experts) });
  const paint = async (prompts) => {
    const made = [];
    for (const [i, prompt] of prompts.entries()) made.push(await model.generate(prompt, { seed: 40 + i, steps }));
    return made;
  };
  const [subject, others] = [await paint(SUBJECT), await paint(OTHERS)];
  rows.push({ way, like: mean(await likeness(model, subject)), others });
  await model.dispose();
  process.stderr.write('.');
}
const changed = rows.map(({ others }) => mean(others.map((picture, i) => distance(picture, rows[0].others[i])), 1));
const markdown = `${table(['LoRA in', 'likeness to the subject, CLIP image', 'change of other prompts’ pictures, of 255'], rows.map(({ way, like }, i) => [way, like.text, changed[i].text]))}

${SUBJECT.length} and ${OTHERS.length} pictures per row, ${steps} steps.`;
console.log(markdown);
if (values.save) publish('personal-subject', markdown, { steps, rows: rows.map(({ way, like }, i) => ({ way, like, changed: changed[i] })) });
if (values.sheet) {
  const shown = [1, 2, 3, 4, 5, 6].map((i) => readFileSync(new URL(`../examples/personal-subject/subject/${i}.png`, import.meta.url)));
  const { pictures } = await main(['a sks in the snow', 'a sks on the beach', 'a sks on a green background', 'a sks in space']);
  const blank = { width: 256, height: 256, data: new Uint8Array(3 * 256 ** 2).fill(255) };
  writeSheet(values.sheet, [...shown.map((png) => pictureOf(resized(tensorOf(png, 'picture'), 256, 256))), blank, blank, ...pictures], { columns: 8, gap: 4, shrink: 2 });
}
