import { CapabilityError, CoverageError, ExpertEnsemble, float32, ModelError, OptionError, PhraseError, ShapeError, SigmaRangeError, zeros, type Backend, type Denoiser, type PromptEncoder, type Session } from '@ediffi/core';
import { ortNode } from '@ediffi/backends/ort-node';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { encodePng, loadEdiffi, Pipeline, PictureError, type GenerateOptions, type PipelineParts } from './index.js';
import { embeddedFolder } from './testing/embedded.js';

let work = 0;
/** Counts every piece of work: nothing may be encoded or denoised before an error. */
const denoiser: Denoiser = { sigmaMin: 0.01, sigmaMax: 40, alpha: () => 1, denoise: (x) => (work++, Promise.resolve(zeros(x.shape))), dispose: () => Promise.resolve() };
const encoder = (name: string, width: number): PromptEncoder => ({
  name,
  width,
  length: 4,
  encode: (prompts) => (work++, Promise.resolve({ tokens: zeros([prompts.length, 4, width]), length: 4, spans: prompts.map(() => [{ start: 0, end: 1, column: 0 }]) })),
  dispose: () => Promise.resolve(),
});
const parts: PipelineParts = { encoders: { t5: encoder('t5', 8), clip: encoder('clip', 8) }, base: { name: 'base', denoiser, size: 8, multiple: 4, widths: { t5: 8, clip: 8 } } };
const pipeline = new Pipeline(parts);
const mask = float32([1, 1, 0, 0], [2, 2]);
const canvas = { width: 2, height: 2, data: new Uint8Array(16).fill(255) };
const png = encodePng(canvas);

const cases: [what: string, options: GenerateOptions | object, error: { isInstance(value: unknown): boolean }, message: RegExp][] = [
  ['phrase not in the prompt', { paint: { regions: [{ phrase: 'a red aple', mask }] } }, PhraseError, /"a red aple" is not in the prompt .* nearest: apple/],
  ['occurrence that does not exist', { paint: { regions: [{ phrase: 'apple', occurrence: 1, mask }] } }, PhraseError, /occurs 1 time/],
  ['mask of size zero', { paint: { regions: [{ phrase: 'apple', mask: float32([], [0, 2]) }] } }, ShapeError, /mask of "apple": expected \[H, W\] with H, W > 0/],
  ['inpainting mask of size zero', { image: png, mask: float32([], [0, 0]) }, ShapeError, /mask/],
  ['paint outside above 0', { paint: { regions: [{ phrase: 'apple', mask }], outside: 0.5 } }, OptionError, /paint outside: expected a finite number from -1 to 0/],
  ['canvas without matching colours', { paint: { canvas: png, colors: { '#ff0000': 'apple' } } }, OptionError, /canvas colours/],
  ['canvas and nothing that says what its colours mean', { paint: { canvas: png } }, OptionError, /canvas colours: expected/],
  ['regions that are no list', { paint: { regions: { phrase: 'apple', mask } } }, OptionError, /regions: expected a list/],
  ['region without a mask', { paint: { regions: [{ phrase: 'apple' }] } }, OptionError, /mask of "apple": expected a tensor/],
  ['mask that is no tensor', { paint: { regions: [{ phrase: 'apple', mask: { data: [1] } }] } }, OptionError, /mask of "apple": expected a tensor/],
  ['canvas without colours', { paint: { canvas: png, colors: {} } }, OptionError, /at least one colour/],
  ['unreadable canvas', { paint: { canvas: png.slice(0, 40), colors: { '#fff': 'apple' } } }, PictureError, /canvas: a damaged or cut-off PNG/],
  ['unreadable image', { image: new Uint8Array([1, 2, 3]) }, PictureError, /image: not a PNG/],
  ['grid above the range', { grid: Float64Array.of(80, 1, 0) }, SigmaRangeError, /σ = 80 is outside \[0.01, 40\]/],
  ['grid below the range', { grid: Float64Array.of(40, 0.001, 0) }, SigmaRangeError, /0.001 is outside/],
  ['grid that does not decrease', { grid: Float64Array.of(1, 2, 0) }, SigmaRangeError, /must decrease/],
  ['negative steps', { steps: -3 }, OptionError, /steps: expected an integer from 1/],
  ['fraction of a step', { steps: 2.5 }, OptionError, /steps/],
  ['NaN guidance', { guidance: Number.NaN }, OptionError, /guidance: expected a finite number, got NaN/],
  ['NaN guidance in its long form', { guidance: { scale: Number.NaN } }, OptionError, /guidance/],
  ['unknown solver', { solver: 'euller' }, OptionError, /solver: expected one of .* nearest: euler, got "euller"/],
  ['unknown grid', { grid: 'karas' }, OptionError, /nearest: karras/],
  ['negative seed', { seed: -1 }, OptionError, /seed/],
  ['unknown encoder', { encoders: ['t6'] }, OptionError, /encoders/],
  ['paint without a text encoder', { encoders: [], paint: { regions: [{ phrase: 'apple', mask }] } }, OptionError, /paint/],
  ['attention to an encoder that reads nothing', { encoders: ['t5'], attention: { maps: true, encoders: ['clip'] } }, OptionError, /attention encoders: expected some of t5/],
  ['attention at no site', { attention: { sites: [] } }, OptionError, /attention sites/],
  ['attention in an empty window', { attention: { window: { from: 2, to: 1 } } }, OptionError, /attention window/],
  ['attention maps of an unknown kind', { attention: { maps: 'all' } }, OptionError, /attention maps/],
  ['style without an image encoder', { style: { image: png } }, OptionError, /style/],
  ['mask without image', { mask: png }, OptionError, /mask/],
  ['strength without image', { strength: 0.5 }, OptionError, /strength/],
  ['strength 0', { image: png, strength: 0 }, OptionError, /strength: expected a number above 0, up to 1/],
  ['strength above 1', { image: png, strength: 1.5 }, OptionError, /strength/],
  ['width that does not fit', { width: 10 }, OptionError, /width: expected a multiple of 4, such as 12, got 10/],
  ['option that does not exist', { stepss: 3 }, OptionError, /stepss/],
  ['stage that does not exist', { stages: { sr9: {} } }, OptionError, /sr9/],
  ['picture by its path', { image: 'cat.png' }, OptionError, /image: expected the picture, not where it is: read the file first/],
  ['picture that is null', { image: null }, OptionError, /image: expected PNG bytes/],
  ['picture without pixels', { image: { width: 2, height: 2 } }, OptionError, /image: expected PNG bytes.*got "\{ width, height \}"/],
  ['mask by its path', { image: png, mask: 'm.png' }, OptionError, /mask: .* read the file first/],
  ['canvas by its path', { paint: { canvas: 'c.png', colors: { '#fff': 'apple' } } }, OptionError, /canvas: .* read the file first/],
  ['paint without canvas and regions', { paint: {} }, OptionError, /paint: expected \{ canvas, colors \}, /],
  ['paint that is a list', { paint: [{ phrase: 'apple', mask }] }, OptionError, /paint: expected \{ canvas, colors \}, /],
  ['guidance as text', { guidance: '7' }, OptionError, /guidance: expected a number or a function/],
  ['guidance without a scale', { guidance: { window: { from: 1 } } }, OptionError, /guidance: expected a number or a function/],
  ['guidance of scale null', { guidance: { scale: null } }, OptionError, /guidance: expected a number or a function/],
  ['guidance in an empty window', { guidance: { scale: 2, window: { from: 5, to: 1 } } }, OptionError, /guidance window/],
  ['threshold of an unknown kind', { guidance: { scale: 2, threshold: 'dynamic' } }, OptionError, /threshold/],
  ['threshold limit below 1', { guidance: { scale: 2, threshold: { dynamic: 0.9, limit: 0.5 } } }, OptionError, /dynamic threshold limit/],
  ['encoders that are no list', { encoders: 't5' }, OptionError, /encoders: expected a list/],
  ['attention to encoders that are no list', { attention: { encoders: 't5' } }, OptionError, /attention encoders: expected a list/],
  ['attention at sites that are no list', { attention: { sites: 4 } }, OptionError, /attention sites: expected a list/],
  ['signal that is none', { signal: {} }, OptionError, /signal: expected an AbortSignal/],
  ['options that are null', null as never, OptionError, /options: expected an object/],
  ['noise of another size', { noise: zeros([1, 3, 16, 16]) }, ShapeError, /noise: expected \[1, 3, 8, 8\], for a picture of 8 × 8 in the base stage, got \[1, 3, 16, 16\]/],
  ['noise of other channels', { noise: zeros([1, 4, 8, 8]) }, ShapeError, /noise/],
  ['noise for fewer pictures', { noise: zeros([2, 3, 8, 8]), count: 3 }, ShapeError, /noise: expected \[1, 3, 8, 8\] or \[3, 3, 8, 8\], for 3 pictures/],
  ['noise of fewer numbers than its shape', { noise: { ...zeros([1, 3, 8, 8]), data: new Float32Array(4) } }, ShapeError, /noise/],
  ['noise that is a list', { noise: [1, 2, 3] }, OptionError, /noise: expected a float32 tensor, such as randn\(\[1, 3, 8, 8\], 7\)/],
  ['augmentation of a stage that enlarges nothing', { augmentation: 0.9 }, OptionError, /augmentation: .* set it in stages/],
  ['the same by its name', { stages: { base: { augmentation: 0.9 } } }, OptionError, /augmentation: .* set it in stages/],
  ['list of seeds and another count', { seed: [1, 2], count: 5 }, OptionError, /count: expected none beside a list of 2 seeds/],
  ['steps beside a list of σ', { steps: 10, grid: Float64Array.of(40, 1, 0) }, OptionError, /steps: expected none beside a list of 3 σ, which make 2 steps/],
  ['setting that no stage has', { stages: { base: { stepz: 2 } } }, OptionError, /stages.base: expected some of steps, .*got "stepz"/],
  ['settings that are null', { stages: { base: null } }, OptionError, /stages.base: expected an object/],
  ['frame for a model that is told nothing', { frame: { crop: [1, 1] } }, OptionError, /frame: expected nothing/],
  ['negative that says nothing', { negative: {} }, OptionError, /negative: expected a text for at least one of t5, clip/],
  ['negative for an encoder that does not exist', { negative: { t6: 'a cat' } }, OptionError, /negative: .*got "t6"/],
];

/** A cascade with an image encoder, for what only such a pipeline has. */
const cascade = new Pipeline({
  ...parts,
  imageEncoder: { name: 'clip-image', width: 8, size: 4, encode: () => (work++, Promise.resolve({ tokens: zeros([1, 1, 8]), length: 1, spans: [[]] })), dispose: () => Promise.resolve() },
  upsamplers: [{ name: 'sr1', denoiser, factor: 2, residualScale: 1, augmentation: 0.1 }],
});
const ofCascades: typeof cases = [
  ['style by its path', { style: { image: 'a.png' } }, OptionError, /style: .* read the file first/],
  ['style without a picture', { style: {} }, OptionError, /style: expected PNG bytes/],
  ['style in an empty window', { style: { image: png, window: { from: 5, to: 1 } } }, OptionError, /style window/],
  ['style in a window of no number', { style: { image: png, window: { from: Number.NaN } } }, OptionError, /style window/],
  ['guidance of a later stage in an empty window', { stages: { sr1: { guidance: { scale: 2, window: { from: 5, to: 1 } } } } }, OptionError, /guidance window/],
  ['threshold of a later stage', { stages: { sr1: { guidance: { scale: 2, threshold: 'dynamic' } } } }, OptionError, /threshold/],
  ['setting that a later stage does not have', { stages: { sr1: { stepz: 2 } } }, OptionError, /stages.sr1: .*got "stepz"/],
];

describe('bad input is a typed error before any work', () => {
  for (const [what, options, error, message] of [...cases, ...ofCascades]) {
    it(what, async () => {
      work = 0;
      const thrown: unknown = await (cases.some(([name]) => name === what) ? pipeline : cascade).generate('an apple', options as GenerateOptions).catch((e: unknown) => e);
      expect(error.isInstance(thrown), String(thrown)).toBe(true);
      expect((thrown as Error).message).toMatch(message);
      expect(work).toBe(0);
    });
  }

  it.each([[['a cat', 'a dog']], [{ T5: 'apple' }], [{ t5: 'a', clpi: 'b' }], [{}], [null], [undefined]])('prompt %j', async (prompt) => {
    work = 0;
    await expect(pipeline.generate(prompt as never)).rejects.toMatchObject({ code: 'OptionError' });
    expect(work).toBe(0);
  });

  it('experts with a gap, and with an overlap', () => {
    const expert = (name: string, sigmaMin: number, sigmaMax: number) => ({ name, sigmaMin, sigmaMax, denoiser });
    expect(() => new ExpertEnsemble([expert('high', 2, 40), expert('low', 0.01, 1)])).toThrow(CoverageError);
    expect(() => new ExpertEnsemble([expert('high', 2, 40), expert('low', 0.01, 3)])).toThrow(/overlap at σ in \(2, 3\]/);
  });

  it('σ outside what the experts cover', () => {
    const ensemble = new ExpertEnsemble([{ name: 'all', sigmaMin: 0.01, sigmaMax: 40, denoiser }]);
    expect(() => ensemble.at(41)).toThrow(SigmaRangeError);
  });

  it('encoder of another width', () => {
    expect(() => pipeline.with({ encoders: { t5: encoder('t5', 16) } })).toThrow(ShapeError);
    expect(() => pipeline.with({ encoders: { t5: encoder('t5', 16) } })).toThrow(/encoder 't5': expected width 8, as base takes, got 16/);
  });

  it('expert that does not exist', () => {
    const ensemble = new ExpertEnsemble([{ name: 'high', sigmaMin: 0.01, sigmaMax: 40, denoiser }]);
    expect(() => pipeline.with({ base: { ...parts.base, denoiser: ensemble } }).with({ experts: { hihg: denoiser } })).toThrow(/expert name: expected one of high/);
  });
});

describe('model files', () => {
  const folders: string[] = [];
  afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));
  const copy = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'ediffi-bad-'));
    folders.push(folder);
    for (const name of ['card.json', 'weights', 'tokenizers']) cpSync(join(embeddedFolder, name), join(folder, name), { recursive: true });
    return folder;
  };
  /** A backend that must not be asked for anything. */
  const idle: Backend = { ...ortNode(), load: () => (work++, Promise.reject<Session>(new Error('loaded'))) };

  it('missing, corrupted and cut-off weight files are refused when the model is opened', async () => {
    work = 0;
    const folder = copy();
    const file = join(folder, 'weights', 'base-low.onnx');
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 0xff;
    writeFileSync(file, bytes);
    await expect(loadEdiffi({ folder, backend: idle })).rejects.toThrow(/base-low.onnx: SHA-256 is .* the card says/);
    writeFileSync(file, bytes.subarray(0, 1000));
    await expect(loadEdiffi({ folder, backend: idle })).rejects.toThrow(/base-low.onnx: 1000 bytes, the card says/);
    rmSync(file);
    await expect(loadEdiffi({ folder, backend: idle })).rejects.toThrow(ModelError);
    await expect(loadEdiffi({ folder: join(folder, 'none'), backend: idle })).rejects.toThrow(/card.json: cannot be read/);
    expect(work).toBe(0);
  });

  it('a truncated ONNX without a hash is refused before it runs', async () => {
    const bytes = readFileSync(join(embeddedFolder, 'weights', 't5.onnx')).subarray(0, 5000);
    const backend = ortNode();
    const thrown: unknown = await backend.load({ name: 't5.onnx', bytes: () => Promise.resolve(bytes) }).catch((e: unknown) => e);
    expect(ModelError.isInstance(thrown), String(thrown)).toBe(true);
    await backend.dispose();
  });

  it('paint on a network that was loaded without region inputs', async () => {
    const cascade = await loadEdiffi({ folder: embeddedFolder });
    const { instrumented: _, ...base } = cascade.parts.base;
    const promise = cascade.with({ base }).generate('an apple', { upscale: false, paint: { regions: [{ phrase: 'apple', mask }] } });
    await expect(promise).rejects.toThrow(CapabilityError);
    await expect(cascade.with({ base }).generate('an apple', { upscale: false, attention: {} })).rejects.toThrow(/attention maps/);
    await expect(cascade.generate('an apple', { upscale: false, steps: 2, attention: { sites: [3] } })).rejects.toThrow(/no attention at stride 3/);
    await cascade.dispose();
  });
});
