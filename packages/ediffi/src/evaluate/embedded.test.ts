import { float32, type HostTensor } from '@ediffi/core';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../cli/run.js';
import { embeddedFolder } from '../testing/embedded.js';
import { encodePng, loadEdiffi } from '../index.js';
import { clipScores, loadJudge, sampleCaptions, type Evaluation, type EvaluationSet, type Judge } from './index.js';

let judge: Judge;
let set: EvaluationSet;
let folder = '';
beforeAll(async () => {
  ({ judge, set } = await loadJudge({ folder: embeddedFolder }));
  folder = mkdtempSync(join(tmpdir(), 'ediffi-evaluate-'));
});
afterAll(async () => {
  await judge.dispose();
  rmSync(folder, { recursive: true });
});

async function ediffi(args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await run([...args, '--model', embeddedFolder], { out: { write: (text) => (out += text) }, err: { write: (text) => (err += text) }, env: {} });
  return { code, out, err };
}

describe('the embedded judge and evaluation set', () => {
  it('has captions with questions that the judge can answer, held-out pairs among them, and two real pictures of each', () => {
    expect(set.scenes.length).toBeGreaterThanOrEqual(200);
    expect(set.scenes.filter((scene) => scene.heldOut).length).toBeGreaterThanOrEqual(40);
    for (const { asked } of set.scenes) {
      for (const [question, wanted] of Object.entries(asked)) for (const answer of typeof wanted === 'string' ? [wanted] : wanted) expect(judge.labels[question]).toContain(answer);
    }
    expect(set.real.judge.data).not.toEqual(set.again.judge.data);
  });

  it('tells a plain red picture from a plain blue one', async () => {
    const plain = (r: number, g: number, b: number): HostTensor => float32(Float32Array.from({ length: 3 * 4096 }, (_, i) => [r, g, b][Math.floor(i / 4096)]! / 127.5 - 1), [1, 3, 64, 64]);
    const background = async (picture: HostTensor): Promise<string> => {
      const { scores } = await judge.look(picture);
      return judge.labels['background']![scores['background']!.indexOf(Math.max(...scores['background']!))]!;
    };
    expect(await background(plain(214, 66, 58))).toBe('plain:red');
    expect(await background(plain(74, 128, 216))).toBe('plain:blue');
  });
});

describe('ediffi evaluate', () => {
  it('compares two folders: a folder with itself is at distance 0', async () => {
    for (let k = 0; k < 3; k++) writeFileSync(join(folder, `${k}.png`), encodePng({ width: 4, height: 4, data: Uint8Array.from({ length: 48 }, (_, i) => (i * 5 + k * 60) % 256) }));
    const { code, out } = await ediffi(['evaluate', folder, '--against', folder, '--json']);
    expect(code).toBe(0);
    const { pictures, distances } = JSON.parse(out) as { pictures: number; distances: { features: string; frechet: number; kid: number }[] };
    expect(pictures).toBe(3);
    expect(distances.map((row) => row.features)).toEqual(['judge', 'clip-image']);
    for (const { frechet } of distances) expect(frechet).toBeLessThan(1e-6);
  });

  it('paints captions, judges them and says so', async () => {
    const { code, out } = await ediffi(['evaluate', '--count', '3', '--steps', '8', '--solver', 'dpmpp2m', '--no-upscale']);
    expect(code).toBe(0);
    expect(out).toMatch(/^3 pictures of held-out captions, seed 0/);
    expect(out).toMatch(/CLIP score {2}-?[01]\.\d{3} \[/);
    expect(out).toMatch(/judge features: Fréchet distance [\d.]+ \[/);
    expect(out).toMatch(/style {2,}\d+ % of 3/);
  });

  it('judges the best of several, no two captions of one seed', async () => {
    const { code, out } = await ediffi(['evaluate', '--count', '2', '--seed', '5', '--best-of', '3', '--steps', '4', '--no-upscale', '--json']);
    expect(code).toBe(0);
    const model = await loadEdiffi({ folder: embeddedFolder });
    const towers = { text: model.parts.encoders['clip']!, image: model.parts.imageEncoder! };
    const best = await Promise.all(sampleCaptions(set.scenes, 2, 5).map(async ({ caption }, i) => {
      const pictures = await model.generate(caption, { seed: [0, 1, 2].map((k) => 5 + 3 * i + k), steps: 4, upscale: false });
      return Math.max(...(await Promise.all(pictures.map(async ({ tensor }) => (await clipScores(float32(tensor.data, [1, ...tensor.shape]), [caption], towers))[0]!))));
    }));
    await model.dispose();
    expect((JSON.parse(out) as Evaluation).clipScore.value).toBeCloseTo((best[0]! + best[1]!) / 2, 9);
  });
});
