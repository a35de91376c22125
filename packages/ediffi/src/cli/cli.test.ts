import { zeros } from '@ediffi/core';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePng, encodePng, readPngText } from '../index.js';
import { embeddedFolder } from '../testing/embedded.js';
import { fixtureFolder } from '../testing/parity.js';
import { detectPreview, previewKinds, render } from './preview.js';
import { Progress, progressLine } from './progress.js';
import { run } from './run.js';

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'ediffi-cli-'))));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the command line; gives exit code, stdout and stderr. */
async function ediffi(args: string[], signal?: AbortSignal): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const code = await run(args, { out: { write: (text) => (out += text) }, err: { write: (text) => (err += text) }, env: {}, ...(signal && { signal }) });
  return { code, out, err };
}

const oneLine = (text: string): boolean => text.endsWith('\n') && text.trimEnd().split('\n').length === 1;
const picture = { width: 4, height: 2, data: Uint8Array.from({ length: 32 }, (_, i) => (i % 4 === 3 ? 255 : i * 7)) };

describe('ediffi serve', () => {
  it('serves the embedded model: a picture painted there is the same, byte for byte, and nobody enters without the token', async () => {
    const [controller, lines] = [new AbortController(), [] as string[]];
    let started = (_: string): void => undefined;
    const url = new Promise<string>((resolve) => (started = resolve));
    const serving = run(['serve', '--port', '0', '--model', embeddedFolder], { out: { write: (text: string) => started(/http:\S+(?=:)/.exec((lines.push(text), text))![0]) }, err: { write: (text: string) => lines.push(text) }, env: { EDIFFI_TOKEN: 'secret' }, signal: controller.signal });
    const paint = async (name: string, args: string[], env = {}): Promise<{ code: number; err: string }> => {
      let err = '';
      const code = await run(['paint', 'a red apple on the grass', '--canvas', join(folder, 'canvas.png'), '--colors', join(folder, 'colors.json'), '--seed', '3', '--steps', '4', '--out', join(folder, name), '--model', embeddedFolder, ...args], { out: { write: () => true }, err: { write: (text) => (err += text) }, env });
      return { code, err };
    };
    writeFileSync(join(folder, 'colors.json'), '{ "#ff0000": "red apple" }');
    writeFileSync(join(folder, 'canvas.png'), encodePng({ width: 8, height: 8, data: Uint8Array.from({ length: 192 }, (_, i) => (i % 24 < 12 && i % 3 === 0 ? 255 : 0)) }));
    expect(await paint('here.png', [])).toMatchObject({ code: 0 });
    expect(await paint('there.png', ['--server', await url], { EDIFFI_TOKEN: 'secret' })).toMatchObject({ code: 0 });
    expect(await paint('none.png', ['--server', await url])).toMatchObject({ code: 4, err: expect.stringMatching(/401.*Bearer/) });
    const pixels = (name: string): readonly number[] => [...decodePng(readFileSync(join(folder, name))).data];
    expect(pixels('there.png')).toEqual(pixels('here.png'));
    controller.abort(new Error('interrupted'));
    expect(await serving).toBe(0);
    expect(lines[0]).toMatch(/^9 graphs at http.*base-high, .*\(for those who know \$EDIFFI_TOKEN\)/);
  });

  it('refuses a folder without ONNX files', async () => {
    const { code, err } = await ediffi(['serve', '--model', folder]);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(/--model: .* holds no \.onnx files/) });
  });
});

describe('help and usage', () => {
  it('prints help and version on stdout with code 0', async () => {
    expect(await ediffi(['--help'])).toMatchObject({ code: 0, out: expect.stringContaining('ediffi paint "a red apple'), err: '' });
    expect((await ediffi(['paint', '--help'])).out).toContain('--canvas <png>');
    expect(await ediffi(['--version'])).toMatchObject({ code: 0, out: `${(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version}\n` });
  });

  it.each([
    [['paint'], /missing required argument 'prompt'/],
    [['paint', 'a cat', '--stepss', '3'], /unknown option '--stepss'/],
    [['pain'], /unknown command 'pain'/],
    [['paint', 'a cat', '--steps', 'many'], /^ediffi: --steps: expected a number, got "many"/],
    [['paint', 'a cat', '--count', '2', '--best-of', '2'], /--best-of: one picture, not with --count/],
    [['paint', 'a cat', '--best-of', '0'], /candidates: expected an integer.* 1/],
    [['paint', 'a cat', '--canvas', 'x.png'], /--canvas and --colors go together/],
    [['paint', 'a cat', '--image', '/nowhere/x.png'], /--image: cannot read \/nowhere\/x.png \(ENOENT\)/],
    [['paint', 'a cat', '--size', 'big'], /--size: expected WIDTHxHEIGHT/],
    [['paint', 'a cat', '--preview', 'ascii'], /--preview: expected one of/],
    [['paint', 'a cat', '--out', '/nowhere/at/all/x.png'], /--out: there is no folder \/nowhere\/at\/all — make it first/],
    [['paint', 'a cat', '--server', 'gpu-box'], /server: expected a URL such as http/],
    [['serve', '--port', 'any'], /--port: expected a number, got "any"/],
    [['evaluate', 'some-folder'], /evaluate: give a folder of PNG files and --against another one/],
    [['evaluate', '/nowhere', '--against', '/nowhere'], /folder: cannot read the folder \/nowhere/],
    [['evaluate', '--count', 'all'], /--count: expected a number, got "all"/],
    [['evaluate', '--solver', 'eulr'], /solver: expected one of .* nearest: euler/],
    [['paint', 'a cat', '--upscale', 'sr9'], /upscale: expected true, false, sr1, sr2, sr3/],
  ])('%j is code 2 and one line', async (args, message) => {
    const { code, err, out } = await ediffi(args);
    expect(err).toMatch(message);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err.trimEnd().split('\n').length).toBeLessThanOrEqual(2); // commander adds a "did you mean"
  });

  it('--sr-steps without a super-resolution stage is code 2 and one line', async () => {
    const model = await fixtureFolder('sd15', join(folder, 'sd15'));
    expect(await ediffi(['paint', 'a cat', '--sr-steps', '2', '--model', model])).toEqual({ code: 2, out: '', err: 'ediffi: --sr-steps: this model has no super-resolution stage — leave it out\n' });
  });

  it('a missing model is code 3 and one line', async () => {
    const { code, err } = await ediffi(['paint', 'a cat', '--model', join(folder, 'none')]);
    expect(code).toBe(3);
    expect(err).toMatch(/^ediffi: .*none: no such folder/);
    expect(oneLine(err)).toBe(true);
  });
});

describe('painting', () => {
  const model = ['--model', embeddedFolder];

  it('writes a picture with its metadata, names it on stdout, plan and notes on stderr', async () => {
    const out = join(folder, 'a.png');
    const { code, out: named, err } = await ediffi(['paint', 'a red aple', '--seed', '7', '--steps', '4', '--sr-steps', '2', '--out', out, ...model]);
    expect({ code, named }).toEqual({ code: 0, named: `${out}\n` });
    expect(err).toMatch(/^base: high \d.*network calls\n/);
    expect(err).toMatch(/note: the model does not know "aple" — nearest known: apple/);
    const png = new Uint8Array(readFileSync(out));
    expect(decodePng(png).width).toBe(256);
    expect(readPngText(png)).toMatchObject({ prompt: 'a red aple', seed: '7', plan: expect.stringContaining('base: high') });
  });

  it('paints the best of several, and says how CLIP scored them', async () => {
    const out = join(folder, 'best.png');
    const { code, out: named, err } = await ediffi(['paint', 'a red apple', '--seed', '7', '--best-of', '3', '--steps', '4', '--no-upscale', '--out', out, ...model]);
    expect({ code, named }).toEqual({ code: 0, named: `${out}\n` });
    const [, best] = /CLIP score by seed: (\d+) 0\.\d{3}, \d+ 0\.\d{3}, \d+ 0\.\d{3}\n/.exec(err)!;
    expect(readPngText(new Uint8Array(readFileSync(out)))['seed']).toBe(best);
    expect(err).toMatch(/network calls, base for each of 3 candidates\n/);
  });

  it('shows every step of a solver that inserts some, on a terminal', async () => {
    let text = '';
    const code = await run(['paint', 'a cat', '--solver', 'restart', '--steps', '3', '--seed', '1', '--no-upscale', '--out', join(folder, 'e.png'), ...model], { out: { write: () => true }, err: { isTTY: true, write: (part: string) => (text += part) }, env: {} });
    expect({ code, text }).toEqual({ code: 0, text: expect.stringMatching(/█{24} {2}15\/15 /) });
  });

  it('takes canvas, colours, style, image and the rest', async () => {
    const canvas = join(folder, 'canvas.png');
    const colors = join(folder, 'colors.json');
    writeFileSync(canvas, encodePng({ width: 2, height: 2, data: Uint8Array.of(255, 0, 0, 255, 0, 0, 0, 255, 255, 0, 0, 255, 0, 0, 0, 255) }));
    writeFileSync(colors, '{ "#ff0000": "apple" }');
    const common = ['--steps', '2', '--seed', '1', '--no-upscale', ...model];
    const out = join(folder, 'b.png');
    const everything = ['--canvas', canvas, '--colors', colors, '--style', canvas, '--image', canvas, '--strength', '0.9', '--encoders', 't5', '--negative', 'a cat', '--guidance', '2', '--solver', 'deis-rk', '--size', '32x16', '--out', out];
    expect(await ediffi(['paint', 'an apple', ...everything, ...common])).toMatchObject({ code: 0 });
    expect(decodePng(new Uint8Array(readFileSync(out)))).toMatchObject({ width: 32, height: 16 });
    writeFileSync(colors, '{ "#ff0000": "pear" }');
    const wrong = await ediffi(['paint', 'an apple', ...everything, ...common]);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringMatching(/^ediffi: "pear" is not in the prompt/) });
    writeFileSync(canvas, 'not a picture');
    expect((await ediffi(['paint', 'an apple', ...everything, ...common])).err).toMatch(/canvas: not a PNG/);
    expect((await ediffi(['paint', 'a cat', '--count', '2', '--out', out, ...common])).out).toBe(`${join(folder, 'b-1.png')}\n${join(folder, 'b-2.png')}\n`);
  });

  it('writes heat maps per word and shares per step', async () => {
    const maps = join(folder, 'maps');
    const common = ['paint', 'a red apple', '--steps', '3', '--no-upscale', '--out', join(folder, 'd.png'), ...model];
    expect(await ediffi([...common, '--seed', '7', '--attention', maps])).toMatchObject({ code: 0 });
    expect(readdirSync(maps).sort()).toEqual(['1-a.png', '2-red.png', '3-apple.png', 'shares.json']);
    expect(decodePng(new Uint8Array(readFileSync(join(maps, '3-apple.png')))).width).toBe(32);
    const { steps, words } = JSON.parse(readFileSync(join(maps, 'shares.json'), 'utf8')) as { steps: { sigma: number; shares: Record<string, number> }[]; words: { text: string }[] };
    expect(words.map((word) => word.text)).toEqual(['a', 'red', 'apple']);
    expect(steps.length).toBe(3);
    expect(Object.values(steps[0]!.shares).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
    writeFileSync(join(folder, 'taken'), '');
    expect(await ediffi([...common, '--attention', join(folder, 'taken')])).toMatchObject({ code: 2, err: expect.stringMatching(/--attention: cannot write into/) });
  });

  it('is interrupted with code 130', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('interrupted')), 300);
    expect(await ediffi(['paint', 'a cat', '--steps', '500', '--out', join(folder, 'c.png'), ...model], controller.signal)).toMatchObject({ code: 130 });
  });

  it('describes the model and its words', async () => {
    expect((await ediffi(['describe', '--no-measure', ...model])).out).toMatch(/base {2}32 × 32[^]*middle .* σ in \([\d.]+, 2\.666\] +\d+\n +low .* σ in \(0\.01, [\d.]+\], guidance 1 /);
    expect((await ediffi(['describe', '--words', ...model])).out).toMatch(/^objects +cat /);
  });
});

describe('terminal', () => {
  it('knows what a terminal can show', () => {
    const tty = { isTTY: true, write: () => true };
    expect(detectPreview({ write: () => true }, { COLORTERM: 'truecolor' })).toBe('none');
    expect(detectPreview(tty, { COLORTERM: 'truecolor' })).toBe('blocks');
    expect(detectPreview(tty, { TERM: 'xterm-kitty' })).toBe('kitty');
    expect(detectPreview(tty, { TERM_PROGRAM: 'iTerm.app' })).toBe('iterm');
    expect(detectPreview(tty, { TERM: 'foot' })).toBe('sixel');
    expect(detectPreview(tty, {})).toBe('none');
  });

  it('renders every kind', () => {
    const shown = Object.fromEntries(previewKinds.filter((kind) => kind !== 'auto').map((kind) => [kind, render(picture, kind, 4)]));
    expect(shown['none']).toBe('');
    expect(shown['blocks']!.split('▀').length - 1).toBe(4);
    expect(shown['kitty']).toMatch(/^\u001b_Ga=T,f=100,c=4,m=0;[A-Za-z0-9+/=]+\u001b\\\n$/);
    expect(shown['iterm']).toMatch(/^\u001b\]1337;File=inline=1;size=\d+;/);
    expect(shown['sixel']).toMatch(/^\u001bPq"1;1;192;96[^]*\u001b\\\n$/);
  });

  it('shows progress with σ and expert, and takes it back', async () => {
    const step = { stage: 'base', expert: 'high', index: 11, count: 33, sigma: 4.2123, sigmaNext: 3, x: zeros([1]), preview: () => Promise.resolve(picture) };
    expect(progressLine({ ...step, index: 40 })).toMatch(/^█{24} {2}41\/33 /);
    expect(progressLine(step)).toBe('█████████░░░░░░░░░░░░░░░  12/33  base · high  σ 4.21');
    let text = '';
    const progress = new Progress({ isTTY: true, write: (part) => (text += part) }, 'none');
    await progress.show(step);
    progress.clear();
    expect(text.endsWith('\u001b[1A\u001b[0J')).toBe(true);
  });
});
