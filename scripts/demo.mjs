// npm run demo: paints with the embedded eDiff-I, offline, and names the files it wrote.
//   out/text-to-image.png      a prompt
//   out/best-of.png            the same prompt: the best of six seeds, as CLIP sees them
//   out/paint-with-words.png   the canvas | the picture it steered
//   out/style.png              the reference picture | a picture without it | in its style, same prompt and seed
//   out/encoders.png           T5 only | CLIP only | both, same prompt and seed
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bestOf, encodePng, loadEdiffi, pictureOf, resized, tensorOf } from '../packages/ediffi/dist/index.js';

const SEED = 7; // for every picture; best-of.png begins there
const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'out');
const asset = (name) => new Uint8Array(readFileSync(join(root, 'examples', 'assets', name)));
const written = [];
mkdirSync(out, { recursive: true });

/** Writes pictures beside each other; how the last one was made goes into the PNG's text chunks. */
function write(name, what, ...pictures) {
  const path = join(out, name);
  const { prompt, seed, plan } = pictures.at(-1).metadata;
  writeFileSync(path, pictures.length === 1 ? pictures[0].toPng() : encodePng(sideBySide(...pictures), { prompt, seed: String(seed), plan, description: what }));
  written.push([relative(root, path), what]);
}

/** Pictures in a row, white between them, each as high as the highest; a picture may come as anything that tensorOf reads. */
function sideBySide(...inputs) {
  const height = Math.max(...inputs.map((input) => tensorOf(input, 'picture').shape[2]));
  const pictures = inputs.map((input) => {
    const tensor = tensorOf(input, 'picture');
    return pictureOf(resized(tensor, height, Math.round((tensor.shape[3] * height) / tensor.shape[2])));
  });
  const gap = 4;
  const width = pictures.reduce((sum, picture) => sum + picture.width + gap, -gap);
  const data = new Uint8Array(4 * width * height).fill(255);
  let left = 0;
  for (const picture of pictures) {
    for (let y = 0; y < height; y++) data.set(picture.data.subarray(4 * y * picture.width, 4 * (y + 1) * picture.width), 4 * (y * width + left));
    left += picture.width + gap;
  }
  return { width, height, data };
}

/** Paints one picture with a progress bar: σ and the expert at work. */
async function paint(ediffi, title, prompt, options = {}) {
  const plan = await ediffi.plan(prompt, { seed: SEED, ...options });
  console.log(`\n${title}: "${prompt}"`);
  console.log(`  plan  ${plan.map(({ stage, experts }) => `${stage}: ${experts.map((e) => `${e.name} ${e.calls}`).join(', ')}`).join('; ')} network calls`);
  const started = Date.now();
  const painting = ediffi.stream(prompt, { seed: SEED, ...options });
  let expert = '';
  for await (const step of painting) {
    const done = Math.round((24 * (step.index + 1)) / step.count);
    const line = `  ${'█'.repeat(done)}${'░'.repeat(24 - done)} ${String(step.index + 1).padStart(2)}/${step.count}  ${step.stage} · ${step.expert}  σ ${step.sigma.toPrecision(3)}`;
    if (process.stdout.isTTY) process.stdout.write(`\r\u001b[2K${line}`);
    else if (step.expert !== expert || step.index === step.count - 1) console.log(line); // in a log: where the expert changes
    expert = step.expert;
  }
  const picture = await painting.finish();
  console.log(`${process.stdout.isTTY ? '\n' : ''}  ${picture.width} × ${picture.height} in ${((Date.now() - started) / 1000).toFixed(1)} s, seed ${SEED}`);
  for (const { message } of picture.warnings) console.log(`  note: ${message}`);
  return picture;
}

try {
  const ediffi = await loadEdiffi({ ...(process.argv[2] && { folder: process.argv[2] }) });
  console.log(await ediffi.describe());

  const panda = 'a panda in the snow';
  write('text-to-image.png', 'a prompt', await paint(ediffi, 'Text to image', panda));

  const { picture, candidates } = await bestOf(ediffi, panda, { seed: SEED, candidates: 6 }).finish();
  console.log(`\nThe best of six, by CLIP: "${panda}"\n  CLIP score by seed: ${candidates.map(({ seed, score }) => `${seed} ${score.toFixed(3)}`).join(', ')}`);
  write('best-of.png', `the same prompt, seeds ${SEED} to ${SEED + 5}: the one that CLIP finds nearest to it`, picture);

  const canvas = asset('scene.png');
  const colors = JSON.parse(new TextDecoder().decode(asset('scene.json')));
  console.log(`\nThe canvas: ${Object.entries(colors).map(([color, phrase]) => `${color} is "${phrase}"`).join(', ')}`);
  const steered = await paint(ediffi, 'Paint with words', 'a red car on the beach', { paint: { canvas, colors } });
  write('paint-with-words.png', 'the canvas | the picture it steered', canvas, steered);

  const reference = asset('sketch-house.png');
  const unstyled = await paint(ediffi, 'Without a reference picture', 'a cat');
  const styled = await paint(ediffi, 'Style of a reference picture', 'a cat', { style: { image: reference } });
  write('style.png', 'the reference picture | a cat without it | with it: same prompt, same seed', reference, unstyled, styled);

  const prompt = 'a yellow sign that says ZOO on the beach'; // T5 spells, CLIP does not (CAT it does: that word it knows)
  const subsets = [];
  for (const encoders of [['t5'], ['clip'], ['t5', 'clip']]) subsets.push(await paint(ediffi, `Reads: ${encoders.join(' and ')}`, prompt, { encoders }));
  write('encoders.png', 'T5 only | CLIP only | both: same prompt, same seed', ...subsets);
  await ediffi.dispose();

  const width = Math.max(...written.map(([path]) => path.length));
  console.log(`\nWritten:\n${written.map(([path, what]) => `  ${path.padEnd(width)}  ${what}`).join('\n')}`);
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : error}`);
  process.exit(1);
}
