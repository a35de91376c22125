/*
 *   n(σ, σ′) = (W(σ) − W(σ′))/√(σ − σ′),   W a Brownian motion over σ, one path per seed
 *
 * W is fixed by the seed alone: independent increments over the octaves [2ᵏ, 2ᵏ⁺¹), and within an octave Lévy's mid-point construction,
 *   W(m) = (W(a) + W(b))/2 + √((b − a)/4)·z   (a, b the ends, m the middle, z standard normal keyed by seed, octave and node)
 * to 2⁻³⁰ of the octave, then one Brownian bridge to the exact σ (one that float32 can hold is a node by then). So the draws depend on the
 * interval alone, never on the order of calls, the grid or the range; W(a) − W(c) = (W(a) − W(b)) + (W(b) − W(c)); halving the steps refines
 * the same path. Two σ closer than 2⁻³⁰ of an octave have bridges of their own: their draw is no longer of unit variance.
 * (torchsde's tree, which k-diffusion uses, has these properties within one range; its numbers are not reproduced here.)
 */
import { float32, Generator, integer, SigmaRangeError, type HostTensor } from '@ediffi/core';
import type { Noise } from '../solvers/solver.js';

/** How often an octave is halved: two σ in one last part would each have a bridge of its own, which is too much noise for the small interval between them. */
const LEVELS = 30;

/** 32 well-mixed bits of a few integers (the finaliser of MurmurHash3, chained). */
function hash(...parts: readonly number[]): number {
  let h = 0x9e3779b9;
  for (const part of parts) {
    h = Math.imul(h ^ (part >>> 0), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h = (h ^ (h >>> 16)) >>> 0;
  }
  return h;
}

function bits(value: number): [number, number] {
  const words = new Uint32Array(Float64Array.of(value).buffer);
  return [words[0]!, words[1]!];
}

/** What a solver whose intervals overlap draws from: `noise` as a path where it can be one, `noise` itself where it cannot, and without `noise` the path of `seed` (0 by default). */
export const pathOf = (noise: Noise | undefined, seed?: number): Noise => (noise ? (noise.asPath?.(seed) ?? noise) : brownianNoise(seed ?? 0));

/** One path of `size` independent Brownian motions. */
class Path {
  readonly #cache = new Map<number, Float64Array>();

  constructor(
    readonly seed: number,
    readonly size: number,
  ) {}

  #normals(...key: readonly number[]): Float32Array {
    return new Generator(hash(this.seed, Math.floor(this.seed / 2 ** 32), ...key)).normals(this.size);
  }

  /** W(2ᵏ⁺¹) − W(2ᵏ). */
  octave(k: number): Float64Array {
    return Float64Array.from(this.#normals(k + 4096, 1), (z) => z * 2 ** (k / 2));
  }

  /** W(t) − W(2ᵏ) for t in [2ᵏ, 2ᵏ⁺¹). */
  inside(k: number, t: number): Float64Array {
    const known = this.#cache.get(t);
    if (known) return known;
    let [a, b, node] = [2 ** k, 2 ** (k + 1), 1];
    const [left, right] = [new Float64Array(this.size), this.octave(k)];
    /** The bridge at a place between a and b, in place of the end that is not needed any more. */
    const bridge = (end: Float64Array, at: number, ...key: number[]): void => {
      const [w, s] = [(at - a) / (b - a), Math.sqrt(((at - a) * (b - at)) / (b - a))];
      const z = this.#normals(k + 4096, ...key);
      for (let i = 0; i < z.length; i++) end[i] = left[i]! + w * (right[i]! - left[i]!) + s * z[i]!;
    };
    for (let level = 0; level < LEVELS && t !== a; level++) {
      const middle = (a + b) / 2;
      bridge(t < middle ? right : left, middle, 2, node);
      if (t < middle) [b, node] = [middle, 2 * node];
      else [a, node] = [middle, 2 * node + 1];
    }
    if (t !== a) bridge(left, t, 3, ...bits(t));
    if (this.#cache.size > 3) this.#cache.delete(this.#cache.keys().next().value!);
    this.#cache.set(t, left);
    return left;
  }

  /** W(high) − W(low). */
  increment(low: number, high: number): Float64Array {
    const [k, m] = [Math.floor(Math.log2(low)), Math.floor(Math.log2(high))].map((e, i) => (2 ** e > (i ? high : low) ? e - 1 : 2 ** (e + 1) <= (i ? high : low) ? e + 1 : e)) as [number, number];
    const out = Float64Array.from(this.inside(m, high));
    const start = this.inside(k, low);
    for (let i = 0; i < out.length; i++) out[i]! -= start[i]!;
    for (let e = k; e < m; e++) this.octave(e).forEach((v, i) => (out[i]! += v));
    return out;
  }
}

/**
 * Noise from one Brownian path per picture: `seed` for the whole batch, or one seed per picture (a picture then does not depend on its batch
 * mates). Throws OptionError for a seed that is no non-negative integer; the noise throws SigmaRangeError unless 0 < σ′ < σ.
 *
 * @example
 * ```ts
 * import { lincomb, randn } from '@ediffi/core';
 * import { gaussian } from '@ediffi/core/testing';
 * import { brownianNoise, dpmppSde, karras } from '@ediffi/sampler';
 *
 * const x = await lincomb([80, randn([1, 4], 7)]);
 * const noise = brownianNoise(7); // more steps refine the same path
 * for await (const step of dpmppSde(gaussian(0, 0.5).denoise, x, karras(10, { sigmaMin: 0.02, sigmaMax: 80 }), { noise })) console.log(step.sigma);
 * ```
 */
export function brownianNoise(seed: number | readonly number[]): Noise {
  const seeds = typeof seed === 'number' ? [seed] : [...seed];
  seeds.forEach((s) => integer('seed', s, 0, Number.MAX_SAFE_INTEGER));
  let paths: Path[] = [];
  const draw = (shape: readonly number[], sigma: number, sigmaNext: number): HostTensor => {
    const [low, high] = [Math.min(sigma, sigmaNext), Math.max(sigma, sigmaNext)];
    if (!(low > 0 && high > low && high < Infinity)) throw new SigmaRangeError(`Brownian noise: needs 0 < σ′ < σ, got ${sigma} → ${sigmaNext}`, sigmaNext);
    const size = shape.reduce((product, n) => product * n, 1) / seeds.length;
    integer('Brownian noise: elements per seed', size, 1);
    if (paths[0]?.size !== size) paths = seeds.map((s) => new Path(s, size));
    const scale = 1 / Math.sqrt(high - low);
    const out = new Float32Array(size * seeds.length);
    paths.forEach((path, p) => path.increment(low, high).forEach((v, i) => (out[p * size + i] = v * scale)));
    return float32(out, shape);
  };
  return Object.assign(draw, { path: true });
}
