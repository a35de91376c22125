import { describe, expect, it } from 'vitest';
import * as core from '../index.js';
import { BackendError, CapabilityError, CoverageError, DisposedError, EdiffiError, finiteNumber, integer, ModelError, nearest, NonFiniteError, OptionError, PhraseError, ShapeError, sigmaWindow, SigmaRangeError } from '../index.js';

const all = [
  new ShapeError('regions_s4', '[1, 1, 256, 77]', '[1, 1, 256, 64]', 'encode with clip'),
  new SigmaRangeError('σ = 99 is outside [0.02, 40]', 99),
  new CoverageError('gap', [[1, 2]], []),
  new PhraseError('"dgo" is not there', 'dgo', 'a dog', ['dog']),
  new CapabilityError('regions', 'no region inputs'),
  new ModelError('no such file', 'base.onnx', { cause: new Error('ENOENT') }),
  new BackendError('ort-node', 'failed', { sample: 'float32 [1, 3, 32, 32]' }),
  new NonFiniteError('denoised picture', 0.5, 'lower the guidance'),
  new DisposedError('the session'),
  new OptionError('steps', -1, 'an integer ≥ 1'),
];
type Marked = { isInstance(value: unknown): boolean };

describe('errors', () => {
  it.each(all.map((error) => [error.code, error] as const))('%s knows its kind, and only its kind', (code, error) => {
    const classes = core as unknown as Record<string, Marked>;
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe(code);
    expect(EdiffiError.isInstance(error)).toBe(true);
    for (const other of all) expect(classes[code]!.isInstance(other)).toBe(other === error);
    for (const stranger of [undefined, null, 1, 'ShapeError', new Error('x'), { code }]) expect(classes[code]!.isInstance(stranger)).toBe(false);
  });
  it('are all listed above', () => {
    const exported = Object.entries(core).filter(([name, value]) => name.endsWith('Error') && typeof value === 'function' && name !== 'EdiffiError').map(([name]) => name);
    expect(exported.sort()).toEqual(all.map(({ code }) => code).sort());
  });
  it('are recognised across copies of the package', () => {
    const other = Object.assign(new Error('x'), { [Symbol.for('ediffi.error')]: true, [Symbol.for('ediffi.error.ShapeError')]: true });
    expect([EdiffiError.isInstance(other), ShapeError.isInstance(other), ModelError.isInstance(other)]).toEqual([true, true, false]);
  });
  it('say what, with which numbers, and what to do', () => {
    expect(all[0]!.message).toBe('regions_s4: expected [1, 1, 256, 77], got [1, 1, 256, 64] — encode with clip');
    expect((all[5]!.cause as Error).message).toBe('ENOENT');
  });
});

describe('checks', () => {
  it('pass legal numbers through', () => expect([finiteNumber('w', 2), integer('n', 3, 1), sigmaWindow('window')]).toEqual([2, 3, { from: 0, to: Infinity }]));
  it('refuse what is none', () => {
    for (const value of [Number.NaN, Infinity, '2' as unknown as number, 5]) expect(() => finiteNumber('w', value, 0, 4)).toThrow(/w: expected a finite number from 0 to 4/);
    for (const value of [1.5, 0, Number.NaN]) expect(() => integer('n', value, 1)).toThrow(/n: expected an integer ≥ 1/);
  });
  it('name the nearest words', () => expect(nearest('aple', ['grass', 'Apple', 'maple', 'Apple'], 2)).toEqual(['Apple', 'maple']));
});
