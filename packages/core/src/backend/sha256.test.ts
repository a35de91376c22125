import { expect, test, vi } from 'vitest';
import { CapabilityError } from '../errors/errors.js';
import { sha256 } from './sha256.js';

test('the hash of "abc" is the one FIPS 180-4 gives', async () => {
  expect(await sha256(new TextEncoder().encode('abc'), 'abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('a page without Web Crypto is told which bytes cannot be checked', async () => {
  vi.stubGlobal('crypto', undefined);
  try {
    await expect(sha256(new Uint8Array(3), 't5.onnx')).rejects.toSatisfy((error) => CapabilityError.isInstance(error) && (error as Error).message.includes('t5.onnx'));
  } finally {
    vi.unstubAllGlobals();
  }
});
