/*
 * One Brownian path, asked for anywhere in any order: the virtual Brownian tree (Li et al. 2020, arXiv 2001.01328, Algorithm 3).
 *
 *   W(m) | W(a), W(b) ~ Normal((W(a) + W(b))/2, (b − a)/4),   m = (a + b)/2
 *
 * Each node of the bisection has a seed of its own, derived from the path to it, so W(σ) depends on the seed and σ alone. Below the finest
 * interval (2^−20 of the whole) the path is linear. Solvers get (W(σ) − W(σ′))/√|σ − σ′|: standard normal, right jointly over overlapping intervals.
 * Deviates: torchsde seeds its nodes by numpy's SeedSequence; ours are our own, so paths are not PyTorch's (inject noise for that).
 */
import { Generator, float32, SigmaRangeError, type Tensor } from '@ediffi/core';
import type { Noise } from './solver.js';

const DEPTH = 20;
const CACHED = 64; // nodes near the root are asked for again and again

/** splitmix64: well-mixed seeds for the nodes. */
function mix(value: bigint): bigint {
  let z = BigInt.asUintN(64, value + 0x9e3779b97f4a7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** W on [low, high], float64 `[size]`, W(low) = 0. Throws SigmaRangeError outside. */
export class BrownianTree {
  readonly #ends: Float64Array;
  readonly #nodes = new Map<bigint, Float64Array>();

  constructor(
    readonly seed: number | bigint,
    readonly size: number,
    readonly low: number,
    readonly high: number,
  ) {
    this.#ends = this.#normals(1n).map((n) => n * Math.sqrt(high - low));
  }

  /** Standard normals of one node: from 32 well-mixed bits, a generator has that many. */
  #normals(node: bigint): Float64Array {
    return Float64Array.from(new Generator(mix(mix(BigInt(this.seed)) ^ node) & 0xffffffffn).normals(this.size));
  }

  /** W(t). */
  at(t: number): Float64Array {
    if (!(t >= this.low && t <= this.high)) throw new SigmaRangeError(`Brownian path: σ = ${t} is outside [${this.low}, ${this.high}]`, t);
    let [a, b, node] = [this.low, this.high, 1n];
    let [left, right]: [Float64Array, Float64Array] = [new Float64Array(this.size), this.#ends];
    for (let depth = 0; depth < DEPTH && t > a && t < b; depth++) {
      const middle = (a + b) / 2;
      const value = this.#middle(node, left, right, b - a);
      if (t < middle) [b, right, node] = [middle, value, 2n * node];
      else [a, left, node] = [middle, value, 2n * node + 1n];
    }
    const share = b > a ? (t - a) / (b - a) : 0;
    return left.map((v, i) => v + share * (right[i]! - v));
  }

  #middle(node: bigint, left: Float64Array, right: Float64Array, width: number): Float64Array {
    const known = this.#nodes.get(node);
    if (known) return known;
    const noise = this.#normals(2n ** 40n + node);
    const value = left.map((v, i) => (v + right[i]!) / 2 + (Math.sqrt(width) / 2) * noise[i]!);
    if (this.#nodes.size < CACHED) this.#nodes.set(node, value);
    return value;
  }
}

/** Noise for SDE solvers from one seeded path over the σ of a grid: the same increments in whatever order they are asked for. */
export function brownianNoise(seed: number | bigint, sigmas: Float64Array): Noise {
  const positive = sigmas.filter((s) => s > 0);
  const [low, high] = [Math.min(...positive), Math.max(...positive)];
  let tree: BrownianTree | undefined;
  return (shape, sigma, sigmaNext): Tensor => {
    const size = shape.reduce((a, b) => a * b, 1);
    if (tree?.size !== size) tree = new BrownianTree(seed, size, low, high);
    const [from, to] = [tree.at(Math.min(sigma, sigmaNext)), tree.at(Math.max(sigma, sigmaNext))];
    const scale = 1 / Math.sqrt(Math.abs(sigma - sigmaNext));
    return float32(Float32Array.from(to, (v, i) => (v - from[i]!) * scale), shape);
  };
}
