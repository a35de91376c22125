/*
 * PyTorch's CPU generator: MT19937 (Matsumoto & Nishimura 1998) seeded by init_genrand, Box–Muller normals in two layouts.
 * Fewer than 16 normals: double precision, one pair at a time, the second kept. From 16 on: blocks of 16 in float32, and a
 * tail that refills the last 16. Bit-equal below 16; ≤ 1e-6 above (PyTorch's own AVX2 and scalar builds differ by 6e-7).
 */
import { integer } from '../errors/check.js';
import { float32 } from './host.js';
import { sizeOf, type HostTensor, type Shape } from './tensor.js';

const N = 624;
const M = 397;
const TAU = Math.fround(2 * Math.PI);

/** A seeded stream of random numbers, equal to `torch.Generator('cpu')`. */
export class Generator {
  readonly #state = new Uint32Array(N);
  #next = N;
  #kept: number | undefined;

  /** seed: any non-negative integer; as in PyTorch only its low 32 bits seed the engine. */
  constructor(seed: number | bigint) {
    if (typeof seed === 'number') integer('seed', seed, 0, Number.MAX_SAFE_INTEGER);
    const s = this.#state;
    s[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < N; i++) {
      const previous = s[i - 1]!;
      s[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  /** The next 32 random bits. */
  uint32(): number {
    if (this.#next === N) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const s = this.#state;
    for (let i = 0; i < N; i++) {
      const y = (s[i]! & 0x80000000) | (s[i + 1 < N ? i + 1 : 0]! & 0x7fffffff);
      s[i] = s[i + M < N ? i + M : i + M - N]! ^ (y >>> 1) ^ (-(y & 1) & 0x9908b0df);
    }
    this.#next = 0;
  }

  /** One float32 uniform in [0, 1): 24 bits of one output. */
  uniform32(): number {
    return (this.uint32() & 0xffffff) / 0x1000000;
  }

  /** One float64 uniform in [0, 1): the low 53 bits of two outputs. */
  uniform64(): number {
    const high = this.uint32() & 0x1fffff;
    return (high * 0x100000000 + this.uint32()) / 0x20000000000000;
  }

  /** One standard normal by Box–Muller in double precision; the pair's second half is kept for the next call. */
  normal(): number {
    if (this.#kept !== undefined) {
      const kept = this.#kept;
      this.#kept = undefined;
      return kept;
    }
    const angle = 2 * Math.PI * this.uniform64();
    const radius = Math.sqrt(-2 * Math.log1p(-this.uniform64()));
    this.#kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** `torch.rand(n)` in float32. */
  uniforms(n: number): Float32Array {
    const out = new Float32Array(n);
    for (let i = 0; i < n; i++) out[i] = this.uniform32();
    return out;
  }

  /** `torch.randn(n)` in float32. */
  normals(n: number): Float32Array {
    if (n < 16) return Float32Array.from({ length: n }, () => this.normal());
    const out = this.uniforms(n);
    for (let i = 0; i + 16 <= n; i += 16) boxMullerBlock(out, i);
    if (n % 16 !== 0) {
      out.set(this.uniforms(16), n - 16);
      boxMullerBlock(out, n - 16);
    }
    return out;
  }

  /** `torch.randn(n, dtype=float64)`. */
  normals64(n: number): Float64Array {
    if (n < 16) return Float64Array.from({ length: n }, () => this.normal());
    const out = Float64Array.from({ length: n }, () => this.uniform64());
    for (let i = 0; i + 16 <= n; i += 16) boxMullerBlock64(out, i);
    if (n % 16 !== 0) {
      for (let i = n - 16; i < n; i++) out[i] = this.uniform64();
      boxMullerBlock64(out, n - 16);
    }
    return out;
  }

  /** `torch.randint(low, high)`: one integer in [low, high). */
  integer(low: number, high: number): number {
    const range = high - low;
    if (range < 2 ** 28) return low + (this.uint32() % range);
    const word = (BigInt(this.uint32()) << 32n) | BigInt(this.uint32());
    return low + Number(word % BigInt(range));
  }

  /** `torch.randperm(n)`. */
  permutation(n: number): number[] {
    const out = Array.from({ length: n }, (_, i) => i);
    for (let i = 0; i < n - 1; i++) {
      const j = i + (this.uint32() % (n - i));
      [out[i], out[j]] = [out[j]!, out[i]!];
    }
    return out;
  }
}

function boxMullerBlock(data: Float32Array, start: number): void {
  const f = Math.fround;
  for (let j = start; j < start + 8; j++) {
    const radius = f(Math.sqrt(f(-2 * f(Math.log(f(1 - data[j]!))))));
    const angle = f(TAU * data[j + 8]!);
    data[j] = radius * f(Math.cos(angle));
    data[j + 8] = radius * f(Math.sin(angle));
  }
}

function boxMullerBlock64(data: Float64Array, start: number): void {
  for (let j = start; j < start + 8; j++) {
    const radius = Math.sqrt(-2 * Math.log(1 - data[j]!));
    const angle = 2 * Math.PI * data[j + 8]!;
    data[j] = radius * Math.cos(angle);
    data[j + 8] = radius * Math.sin(angle);
  }
}

/** A stream of standard normals: Generator (PyTorch's CPU), CudaGenerator, or your own. */
export interface Normals {
  normals(n: number): Float32Array;
}

/**
 * Standard normal noise `[...shape]`; from a seed, equal to `torch.randn(shape, generator=torch.Generator().manual_seed(seed))`.
 *
 * @example
 * ```ts
 * import { Generator, randn } from '@ediffi/core';
 *
 * const generator = new Generator(7); // torch.Generator().manual_seed(7)
 * const [noise, more] = [randn([1, 4, 64, 64], generator), randn([1, 4, 64, 64], generator)];
 * console.log(noise.data[0], more.data[0], randn([1, 4, 64, 64], 7).data[0]); // the first and the third are equal
 * ```
 */
export function randn(shape: Shape, source: number | bigint | Normals): HostTensor {
  const generator = typeof source === 'object' ? source : new Generator(source);
  return float32(generator.normals(sizeOf(shape)), shape);
}

/** Noise `[seeds, ...shape]`, each picture from its own seed: a picture does not depend on its batch mates. */
export function randnBatch(shape: Shape, sources: readonly (number | bigint | Normals)[]): HostTensor {
  const size = sizeOf(shape);
  const out = new Float32Array(size * sources.length);
  sources.forEach((source, i) => out.set(randn(shape, source).data, i * size));
  return float32(out, [sources.length, ...shape]);
}
