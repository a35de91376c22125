// What the experiments of docs/guide/science.md share: the model, its CLIP as a judge, tables and plots.
import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { bootstrap, evaluateModel } from 'ediffi';
import { float32, floats } from '@ediffi/core';
import { stamp } from '../stamp.mjs';

const at = (path) => new URL(`../../${path}`, import.meta.url);

/** The 24 fixed prompts. */
export const prompts = JSON.parse(readFileSync(at('packages/model/prompts.json'), 'utf8')).map(({ prompt }) => prompt);

/** What a caption calls one object of the model: “an owl”, “a unicorn”, “cherries”. */
export const oneOf = (object) => (object === 'cherries' ? object : `${/^(?!uni)[aeiou]/.test(object) ? 'an' : 'a'} ${object}`);

/** Mean with a 95 % interval by bootstrap over pictures, as text and numbers. */
export function mean(values, digits = 2) {
  const { value, low, high } = bootstrap(values.length, (indices) => indices.reduce((sum, i) => sum + Number(values[i]), 0) / indices.length);
  const round = (v) => Number(v.toFixed(4));
  return { mean: round(value), low: round(low), high: round(high), n: values.length, text: `${value.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})` };
}

/** What evaluateModel, with these arguments, finds when it is done. */
export async function evaluated(...what) {
  const run = evaluateModel(...what);
  let step = await run.next();
  while (!step.done) step = await run.next();
  return step.value;
}

/** An estimate and its interval, to so many digits. */
export const estimate = ({ value, low, high }, digits) => `${value.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;

/** An estimate of a share and its interval, in percent. */
export const percent = ({ value, low, high }) => `${(100 * value).toFixed(0)} % (${(100 * low).toFixed(0)}–${(100 * high).toFixed(0)})`;

/** The embedded CLIP as a judge: unit vectors of pictures and texts, and their cosine. */
export function judge({ parts }) {
  const unit = async ({ pooled }) => {
    const data = await floats(pooled);
    const length = Math.hypot(...data);
    return data.map((v) => v / length);
  };
  const texts = new Map();
  const picture = async ({ tensor }) => unit(await parts.imageEncoder.encode(float32(tensor.data, [1, ...tensor.shape])));
  const text = async (prompt) => texts.get(prompt) ?? (texts.set(prompt, await unit(await parts.encoders.clip.encode([prompt]))), texts.get(prompt));
  const cosine = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
  return { picture, text, cosine, score: async (image, prompt) => cosine(await picture(image), await text(prompt)) };
}

/** Root mean square difference of two pictures, in grey levels of 255. */
export const distance = (a, b) => Math.sqrt(a.data.reduce((sum, v, i) => sum + (v - b.data[i]) ** 2, 0) / a.data.length);

/** A Markdown table. */
export const table = (head, rows) => [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** Writes benchmarks/results/<name>.json and the part of docs/guide/science.md between the marks of that name. */
export function publish(name, markdown, result) {
  mkdirSync(at('benchmarks/results'), { recursive: true });
  writeFileSync(at(`benchmarks/results/${name}.json`), `${JSON.stringify({ ...stamp(), model: JSON.parse(readFileSync(at('packages/model/card.json'), 'utf8')).version, ...result }, null, 1)}\n`);
  const guide = readFileSync(at('docs/guide/science.md'), 'utf8');
  const [begin, end] = [`<!-- ${name}: made by benchmarks/${name}.mjs -->`, `<!-- /${name} -->`];
  const [from, to] = [guide.indexOf(begin), guide.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/guide/science.md: no place for ${name}`);
  writeFileSync(at('docs/guide/science.md'), `${guide.slice(0, from + begin.length)}\n${markdown}\n${guide.slice(to)}`);
}

const COLORS = ['#0b6e99', '#d9730d', '#2e7d32', '#ad1457', '#6a1b9a', '#5d4037'];

/** An SVG of curves over σ (logarithmic, high noise left), values 0…1. `marks`: σ at which a line is drawn, with a name. */
export function plot({ title, yName, curves, marks = [], range: [high, low] }) {
  const [x0, w, top, h] = [50, 560, 50, 300];
  const X = (sigma) => x0 + (Math.log(high / sigma) / Math.log(high / low)) * w;
  const Y = (v) => top + h - v * h;
  const f = (v) => v.toFixed(1);
  const lines = [`<text x="${x0}" y="22" font-weight="600">${title}</text>`, `<text x="${x0}" y="38" fill="#666">${yName}</text>`, `<rect x="${x0}" y="${top}" width="${w}" height="${h}" fill="none" stroke="#bbb"/>`];
  for (const v of [0, 0.25, 0.5, 0.75, 1]) lines.push(`<path d="M${x0} ${f(Y(v))}H${x0 + w}" stroke="#eee"/><text x="${x0 - 6}" y="${f(Y(v) + 4)}" text-anchor="end">${v}</text>`);
  for (const v of [100, 10, 1, 0.1, 0.01].filter((v) => v <= high && v >= low)) lines.push(`<path d="M${f(X(v))} ${top}V${top + h}" stroke="#eee"/><text x="${f(X(v))}" y="${top + h + 16}" text-anchor="middle">${v}</text>`);
  for (const { sigma, name } of marks) lines.push(`<path d="M${f(X(sigma))} ${top}V${top + h}" stroke="#999" stroke-dasharray="4 3"/><text x="${f(X(sigma) + 4)}" y="${top + 12}" fill="#666">${name}</text>`);
  let last = -Infinity;
  const ends = Object.entries(curves).map(([name, points], i) => ({ name, points, color: COLORS[i % COLORS.length], y: Y(points.at(-1)[1]) })).sort((a, b) => a.y - b.y);
  for (const { name, points, color, y } of ends) {
    last = Math.max(y, last + 14);
    lines.push(`<path d="${points.map(([sigma, v], i) => `${i ? 'L' : 'M'}${f(X(sigma))} ${f(Y(v))}`).join('')}" fill="none" stroke="${color}" stroke-width="1.8"/>`, `<text x="${x0 + w + 8}" y="${f(last + 4)}" fill="${color}">${name}</text>`);
  }
  lines.push(`<text x="${x0 + w / 2}" y="${top + h + 34}" text-anchor="middle">σ, from noise (left) to picture</text>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 ${top + h + 46}" font-family="system-ui, sans-serif" font-size="11">\n<rect width="760" height="${top + h + 46}" fill="#fff"/>\n${lines.join('\n')}\n</svg>\n`;
}
