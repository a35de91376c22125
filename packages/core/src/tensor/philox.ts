/*
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), the engine of PyTorch's CUDA generator:
 * element i of a draw has the counter (offset low, offset high, i low, i high) under the key (seed low, seed high), and from words g₀, g₁
 *
 *   u = (g₀ + ½)·2⁻³²,  w = (g₁ + ½)·2⁻³²,   value = √(−2 ln u)·sin(2πw)
 *
 * Deviates: CUDA rounds every step to float32, here the arithmetic is float64 and rounded once (differences up to 2e-6).
 * Tensors larger than one kernel launch (grid · 256 threads, different on each GPU) wrap around in CUDA: those are not reproduced.
 */
import { integer } from '../errors/check.js';
import { OptionError } from '../errors/errors.js';

const ROUNDS = 10;

/** High and low 32 bits of a·b for unsigned 32-bit factors. */
function multiply(a: number, b: number): readonly [number, number] {
  const [ah, al, bh, bl] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const low = al * bl;
  const middle = ah * bl + (low >>> 16);
  const cross = al * bh + (middle % 0x10000);
  return [(ah * bh + Math.floor(middle / 0x10000) + Math.floor(cross / 0x10000)) >>> 0, Math.imul(a, b) >>> 0];
}

/** Ten rounds of Philox4x32: a counter of four 32-bit words and a key of two → four random words. */
export function philox4x32(counter: readonly [number, number, number, number], key: readonly [number, number]): [number, number, number, number] {
  let [a, b, c, d] = counter;
  let [k, l] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [highA, lowA] = multiply(0xd2511f53, a);
    const [highC, lowC] = multiply(0xcd9e8d57, c);
    [a, b, c, d] = [(highC ^ b ^ k) >>> 0, lowC, (highA ^ d ^ l) >>> 0, lowA];
    k = (k + 0x9e3779b9) >>> 0;
    l = (l + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** The noise that `torch.randn` draws on a CUDA device, for tensors within one kernel launch: each draw advances the offset by one. */
export class CudaGenerator {
  readonly #key: readonly [number, number];
  #offset: bigint;

  /** seed and offset: non-negative integers below 2^64 (numbers: below 2^53). Throws OptionError otherwise. */
  constructor(seed: number | bigint, offset: number | bigint = 0) {
    for (const [name, value] of [['seed', seed], ['offset', offset]] as const) {
      if (typeof value === 'number') integer(name, value, 0, Number.MAX_SAFE_INTEGER);
      else if (BigInt.asUintN(64, value) !== value) throw new OptionError(name, value, 'an integer from 0 to 2^64 − 1');
    }
    this.#key = words(BigInt(seed));
    this.#offset = BigInt(offset);
  }

  /** `torch.randn(n, device='cuda')` in float32, within 2e-6. */
  normals(n: number): Float32Array {
    const [low, high] = words(this.#offset++);
    return Float32Array.from({ length: n }, (_, i) => {
      const [g, h] = philox4x32([low, high, i >>> 0, Math.floor(i / 0x100000000)], this.#key);
      return Math.sqrt(-2 * Math.log((g + 0.5) / 0x100000000)) * Math.sin((2 * Math.PI * (h + 0.5)) / 0x100000000);
    });
  }
}

function words(value: bigint): [number, number] {
  return [Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))];
}
