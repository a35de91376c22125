// Can the signs be read, and with which text encoder (eDiff-I, arXiv 2211.01324, §5: T5 carries what is written, CLIP does not)?
// Half of the words are letters drawn at random that no training caption had (training/world.py keeps one word in sixteen away), half are English.
//
//   node benchmarks/signs.mjs [--count 80] [--steps 25] [--seed 1] [--guidance 3] [--solver dpmpp2m] [--sheet out/signs.png] [--save]
//   node benchmarks/signs.mjs --pictures DIR      # reads DIR/WORD-….png instead: what the reader makes of real ones (training/signs.py paints them)
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';
import { decodePng, loadEdiffi } from 'ediffi';
import { loadReader } from './lib/reader.mjs';
import { mean, publish, table } from './lib/science.mjs';
import { writeSheet } from './lib/sheet.mjs';

const { values } = parseArgs({ options: { count: { type: 'string', default: '80' }, steps: { type: 'string', default: '25' }, seed: { type: 'string', default: '1' }, guidance: { type: 'string' }, solver: { type: 'string' }, pictures: { type: 'string' }, sheet: { type: 'string' }, save: { type: 'boolean', default: false } } });
const [count, steps, seed] = [values.count, values.steps, values.seed].map(Number);
const settings = { ...(values.guidance !== undefined && { guidance: Number(values.guidance) }), ...(values.solver !== undefined && { solver: values.solver }) }; // the model's own where none is given
const SHOWN = 20; // of each row, on the sheet
const SETS = [['t5', 'clip'], ['t5'], ['clip'], []];
const ENGLISH = ['CAT', 'STOP', 'OPEN', 'SEA', 'HI', 'STAR', 'ZOO', 'NO', 'TEA', 'FOX', 'CAFE', 'RED', 'A', 'YES', 'TREE', 'GO', 'BUS', 'HELP', 'X', 'SKY'];
const BOARDS = ['white', 'yellow', 'orange', 'pink', 'green', 'blue'];
const PLACES = ['on green grass', 'in the snow', 'on the beach', 'on a blue background', 'in the blue sky', 'in the desert', 'on a gray background'];

/** Share of letters that are right: 1 − edit distance / length, at least 0. */
function lettersRight(word, got) {
  let row = Array.from({ length: got.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...word].entries()) row = row.reduce((next, above, j) => [...next, j === 0 ? i + 1 : Math.min(above + 1, next[j - 1] + 1, row[j - 1] + Number(letter !== got[j - 1]))], []);
  return Math.max(0, 1 - row.at(-1) / word.length);
}

const reader = await loadReader();
if (values.pictures) {
  const found = [];
  for (const file of readdirSync(values.pictures).filter((name) => name.endsWith('.png'))) {
    const word = file.split('-')[0];
    found.push({ word, got: await reader.read(await decodePng(readFileSync(join(values.pictures, file)))) });
  }
  await reader.dispose();
  console.log(`read ${mean(found.map(({ word, got }) => word === got)).text}, letters right ${mean(found.map(({ word, got }) => lettersRight(word, got))).text} of ${found.length}`);
  process.exit();
}

let state = seed;
const random = (n) => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0), Math.floor((state / 2 ** 32) * n));
function unseen(length) {
  for (;;) {
    const word = Array.from({ length }, () => String.fromCharCode(65 + random(26))).join('');
    if (crc32(word) % 16 === 0) return word;
  }
}
const words = Array.from({ length: count }, (_, i) => (i % 2 ? ENGLISH[((i - 1) / 2) % ENGLISH.length] : unseen(2 + ((i / 2) % 3)))); // one letter: too few words to keep any away
const prompts = words.map((word, i) => `a ${BOARDS[i % BOARDS.length]} sign that says ${word} ${PLACES[i % PLACES.length]}`);

const model = await loadEdiffi();
const rows = [];
const pictures = [];
for (const encoders of SETS) {
  const found = [];
  for (const [i, prompt] of prompts.entries()) {
    const picture = await model.generate(prompt, { seed: seed * 1000 + i, steps, encoders, ...settings });
    const got = await reader.read(picture);
    found.push({ prompt, word: words[i], got, unseen: i % 2 === 0 });
    if (i < SHOWN) pictures.push(picture);
    process.stderr.write(got === words[i] ? '+' : '.');
  }
  rows.push({ encoders, found });
}
process.stderr.write('\n');
await model.dispose();
await reader.dispose();

const right = (found) => mean(found.map(({ word, got }) => word === got)).text;
const markdown = `${table(
  ['text', 'sign read right', 'of words never trained', 'of English words', 'letters right'],
  rows.map(({ encoders, found }) => [encoders.join(' + ') || 'none', right(found), right(found.filter((f) => f.unseen)), right(found.filter((f) => !f.unseen)), mean(found.map(({ word, got }) => lettersRight(word, got))).text]),
)}

${count} prompts per row, none picked, ${steps} steps, 256 × 256 pixels. The reader is PP-OCRv4.`;
console.log(markdown);
console.log(rows[0].found.map(({ word, got }) => `${word}:${got}`).join(' '));
if (values.save) publish('signs', markdown, { count, steps, seed, ...settings, rows });
if (values.sheet) writeSheet(values.sheet, pictures, { columns: Math.min(count, SHOWN) / 2, shrink: 2 });
