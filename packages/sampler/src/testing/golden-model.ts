/*
 * The small analytic models of the golden vectors (golden/README.md, "The models"): what a network answers, in float64, rounded to float32.
 */
import { float32, floats, type HostTensor, type Tensor } from '@ediffi/core';

/** A mixture of Gaussians over axis 1. */
export interface GoldenMixture {
  readonly means: readonly (readonly number[])[];
  readonly stds: readonly number[];
  readonly weights: readonly number[];
}

/** The `model` field of a case. */
export interface GoldenModel {
  readonly kind: string;
  readonly time: string;
  readonly output: string;
  readonly params: string;
  readonly sigma_data?: number;
}

/** (a, b) of x = a·x₀ + b·n at the time value t. */
function coefficients(time: string, t: number): [number, number] {
  const u = (t + 1) / 1000;
  const [p, q] = [Math.sqrt(0.85), Math.sqrt(12)];
  const vp = (log: number): [number, number] => [Math.exp(log / 2), Math.sqrt(-Math.expm1(log))];
  switch (time) {
    case 'vp_linear':
      return vp(-(0.1 * u + 9.95 * u * u));
    case 'vp_scaled_linear':
      return vp(-((p + (q - p) * u) ** 3 - p ** 3) / (3 * (q - p)));
    case 'vp_cosine':
      return vp(Math.log(Math.max(Math.cos(((u + 0.008) / 1.008) * (Math.PI / 2)) ** 2, 1e-5)));
    case 'trig':
      return [Math.cos((Math.PI / 2) * t), Math.sin((Math.PI / 2) * t)];
    case 'flow':
      return [1 - t / 1000, t / 1000];
    case 'edm_vp':
      return [1 / Math.hypot(1, Math.exp(4 * t)), Math.exp(4 * t) / Math.hypot(1, Math.exp(4 * t))];
    default:
      return [1, time === 'sigma' ? t : Math.exp(time === 'cm' ? t / 250 : 4 * t)];
  }
}

/** The exact posterior mean of the mixture at x = a·x₀ + b·n, `[B, C, …]`. */
function posterior({ means, stds, weights }: GoldenMixture, x: Float64Array, shape: readonly number[], a: number, b: number): Float64Array {
  const [batch = 1, channels = 1, ...rest] = shape;
  const pixels = rest.reduce((m, n) => m * n, 1);
  const out = new Float64Array(x.length);
  const variances = stds.map((s) => (a * s) ** 2 + b * b);
  for (let i = 0; i < batch * pixels; i++) {
    const at = (c: number): number => (Math.floor(i / pixels) * channels + c) * pixels + (i % pixels);
    const logs = means.map((mean, k) => Math.log(weights[k]!) - (channels / 2) * Math.log(variances[k]!) - mean.reduce((sum, m, c) => sum + (x[at(c)]! - a * m) ** 2, 0) / (2 * variances[k]!));
    const top = Math.max(...logs);
    const shares = logs.map((l) => Math.exp(l - top));
    const total = shares.reduce((s, v) => s + v, 0);
    for (let c = 0; c < channels; c++) out[at(c)] = means.reduce((sum, mean, k) => sum + (shares[k]! / total) * (mean[c]! + ((a * stds[k]! ** 2) / variances[k]!) * (x[at(c)]! - a * mean[c]!)), 0);
  }
  return out;
}

/** What the case's network answers to an input `[B, C, …]` at the time value t. */
export async function goldenAnswer(model: GoldenModel, mixtures: Readonly<Record<string, GoldenMixture>>, input: Tensor, t: number): Promise<HostTensor> {
  const data = await floats(input);
  const f = Math.fround;
  if (model.kind === 'ratio') return float32(data.map((v) => f(f(v * f(t)) / f(f(t) + 1))), input.shape);
  const [a, b] = coefficients(model.time, t);
  const d = model.sigma_data ?? 0.5;
  const x = Float64Array.from(data, (v) => (model.output === 'edm_F' ? v * Math.hypot(b, d) : v));
  const x0 = posterior(mixtures[model.params]!, x, input.shape, a, b);
  const answer: Record<string, (v: number, m: number) => number> = {
    sample: (_, m) => m,
    epsilon: (v, m) => (v - a * m) / b,
    v_prediction: (v, m) => (a * (v - a * m)) / b - b * m,
    flow: (v, m) => (v - a * m) / b - m,
    edm_F: (v, m) => (m - ((d * d) / (b * b + d * d)) * v) / ((b * d) / Math.hypot(b, d)),
  };
  return float32(Float32Array.from(x, (v, i) => answer[model.output]!(v, x0[i]!)), input.shape);
}
