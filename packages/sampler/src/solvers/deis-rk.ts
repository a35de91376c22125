/*
 * DEIS ρ-RK: an explicit Runge–Kutta rule on the exact semi-linear form of the ODE (arXiv 2204.13902, §3.3 and Prop. 4). With ρ = σ for EDM:
 *
 *   dx/dσ = (x − D(x; σ))/σ = ε,   kᵢ = ε(x + h·Σⱼ aᵢⱼ·kⱼ, σ + cᵢ·h),   x′ = x + h·Σ bᵢ·kᵢ,   h = σ′ − σ
 *
 * 'kutta3' is Kutta's third-order tableau, the "3kutta" that eDiff-I (arXiv 2211.01324) samples with: three network calls per step.
 * Orders 2, 2, 3, 4. EDM, VE and flow (α linear in σ: dx/dσ = (x − D)/σ holds for them too).
 * Deviates: the step to σ = 0 is Euler's (x′ = D), because ε is not defined there.
 */
import { lincomb, OptionError, type Denoise, type Tensor } from '@ediffi/core';
import { loop } from './loop.js';
import { combine, requireLinear, type SolverOptions, type Step } from './solver.js';

interface Tableau {
  readonly order: number;
  /** Rows aᵢ of stages 2…s. */
  readonly a: readonly (readonly number[])[];
  readonly b: readonly number[];
  readonly c: readonly number[];
}

/** Butcher tableaux by name. */
export const tableaux = {
  midpoint: { order: 2, c: [0, 1 / 2], a: [[1 / 2]], b: [0, 1] },
  heun2: { order: 2, c: [0, 1], a: [[1]], b: [1 / 2, 1 / 2] },
  kutta3: { order: 3, c: [0, 1 / 2, 1], a: [[1 / 2], [-1, 2]], b: [1 / 6, 2 / 3, 1 / 6] },
  rk4: { order: 4, c: [0, 1 / 2, 1 / 2, 1], a: [[1 / 2], [0, 1 / 2], [0, 0, 1]], b: [1 / 6, 1 / 3, 1 / 3, 1 / 6] },
} as const satisfies Record<string, Tableau>;

/** Which tableau; 'kutta3' (the paper's) by default. */
export interface DeisRkOptions extends SolverOptions {
  readonly tableau?: keyof typeof tableaux;
}

/** DEIS ρ-RK: x `[B, …]` at sigmas[0] → x at the last σ. Throws OptionError for an unknown tableau, CapabilityError for a VP model. */
export function deisRk(denoise: Denoise, x: Tensor, sigmas: Float64Array, options: DeisRkOptions = {}): AsyncGenerator<Step, Tensor, void> {
  const name = options.tableau ?? 'kutta3';
  if (!(name in tableaux)) throw new OptionError('tableau', name, `one of ${Object.keys(tableaux).join(', ')}`);
  requireLinear(denoise, 'deisRk');
  const { a, b, c }: Tableau = tableaux[name];
  const rule: Parameters<typeof loop>[3] = async ({ x, denoised, sigma, sigmaNext, evaluate, own }) => {
    const h = sigmaNext - sigma;
    if (sigmaNext === 0) return lincomb([1, denoised]);
    const slopes: Tensor[] = [await own(lincomb([1 / sigma, x], [-1 / sigma, denoised]))];
    for (const [i, row] of a.entries()) {
      const at = c[i + 1] === 1 ? sigmaNext : sigma + c[i + 1]! * h;
      const y = await own(combine([1, x], ...row.map((weight, j) => [weight * h, slopes[j]!] as const)));
      const d = await evaluate(y, at);
      slopes.push(await own(lincomb([1 / at, y], [-1 / at, d])));
    }
    return combine([1, x], ...slopes.map((slope, i) => [h * b[i]!, slope] as const));
  };
  return loop(denoise, x, sigmas, rule, { resume: options.resume });
}
