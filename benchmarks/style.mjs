// Style of a reference picture through the CLIP image slot (eDiff-I, Fig. 16): does the picture become like the reference, and is what the prompt
// says kept? Strength and σ-window of the reference, on text-to-image and on image-to-image.
//
//   node benchmarks/style.mjs [--prompts 4] [--steps 15] [--sheet out/style.png] [--save]
import { parseArgs } from 'node:util';
import { loadBase } from 'ediffi';
import { writeFigure } from './lib/figure.mjs';
import { judge, mean, publish, table } from './lib/science.mjs';

const { values } = parseArgs({ options: { prompts: { type: 'string', default: '4' }, steps: { type: 'string', default: '15' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const steps = Number(values.steps);
const REFERENCES = ['a pencil sketch of a house on a white background', 'a neon sign of a star on a black background', 'a watercolor painting of a tree on the beach'];
const CONTENTS = ['a cat', 'a red car', 'a penguin', 'a mushroom', 'a red apple', 'a rocket'].slice(0, Number(values.prompts));
const KINDS = [
  { name: 'without the reference', style: { strength: 0 } },
  { name: 'strength 0.5', style: { strength: 0.5 } },
  { name: 'strength 1 (the paper)', style: { strength: 1 } },
  { name: 'strength 1.5', style: { strength: 1.5 } },
  { name: 'strength 1, only σ > 1', style: { strength: 1, window: { from: 1 } } },
  { name: 'strength 1, only σ ≤ 1', style: { strength: 1, window: { to: 1 } } },
];

const model = await loadBase();
const clip = judge(model);
const rows = [];
const cells = REFERENCES.map((prompt) => [{ prompt }]); // of each reference: itself, then its object of the same number in every row of the table
const references = [];
for (const prompt of REFERENCES) references.push(await model.generate(prompt, { seed: 1 }));
const from = [];
for (const prompt of CONTENTS) from.push(await model.generate(`${prompt} on a blue background`, { seed: 2, steps }));

for (const [mode, start] of [['text to image', undefined], ['image to image, 0.7', 0.7]]) {
  for (const { name, style } of start === undefined ? KINDS : KINDS.filter(({ style }) => !style.window && style.strength !== 0.5)) {
    const [similar, kept] = [[], []];
    for (const [r, reference] of references.entries()) {
      cells[r][0].picture = reference;
      for (const [k, prompt] of CONTENTS.entries()) {
        const picture = await model.generate(prompt, { seed: 3, steps, style: { image: reference, ...style }, ...(start !== undefined && { image: from[k], strength: start }) });
        if (k === r) cells[r].push({ picture, prompt });
        similar.push(clip.cosine(await clip.picture(picture), await clip.picture(reference)));
        // Kept: among all contents, the prompt's own is what CLIP finds in the picture.
        const scores = [];
        for (const other of CONTENTS) scores.push(await clip.score(picture, other));
        kept.push(scores.indexOf(Math.max(...scores)) === k);
      }
    }
    rows.push({ mode, kind: name, similarity: mean(similar), content: mean(kept) });
    process.stderr.write('.');
  }
}
process.stderr.write('\n');
await model.dispose();
const markdown = `${table(['', 'reference', 'similarity with the reference', 'prompt’s object is what CLIP finds'], rows.map((row) => [row.mode, row.kind, row.similarity.text, row.content.text]))}\n\n${rows[0].similarity.n} pictures per row (${REFERENCES.length} references, ${CONTENTS.length} objects), ${steps} steps; the references are the model's own: ${REFERENCES.map((text) => `“${text}”`).join(', ')}.`;
console.log(markdown);
if (values.sheet) await writeFigure(values.sheet, cells.flat(), cells[0].length);
if (values.save) publish('style', markdown, { references: REFERENCES, contents: CONTENTS, steps, rows });
