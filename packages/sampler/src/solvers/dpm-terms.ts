/*
 *   h = λ′ − λ over the whole step;  D0 the answer at its start, D1 and D2 the first two divided differences in units of h
 *
 * The coefficients of x, D0, D1, D2 and noise for the four algorithms of DPM-Solver, exact integrals of e^λ times a polynomial:
 *   dpmsolver++     arXiv 2211.01095, eq. 9 and App. A    (D = data)       sde-dpmsolver++   ibid., eq. 17 ff. and App. B
 *   dpmsolver       arXiv 2206.00927, eqs. 3.7, 4.1–4.3   (D = noise)      sde-dpmsolver     ibid. with the SDE's noise
 * `midpoint` keeps D1's coefficient at half of D0's; `heun` is the exact integral, and what order 3 uses.
 */

/** Data prediction (++) or noise prediction, as ODE or SDE. */
export type DpmAlgorithm = 'dpmsolver++' | 'dpmsolver' | 'sde-dpmsolver++' | 'sde-dpmsolver';

/** Coefficients of one step. `half` and `full` are D1's for midpoint and heun. */
export interface DpmTerms {
  readonly x: number;
  readonly d0: number;
  readonly half: number;
  readonly full: number;
  readonly d2: number;
  readonly noise: number;
}

/** Coefficients for a step of length h in λ from (α, σ) to (α′, σ′). */
export function dpmTerms(algorithm: DpmAlgorithm, h: number, alpha: number, sigma: number, alphaNext: number, sigmaNext: number): DpmTerms {
  if (algorithm === 'dpmsolver++') {
    const e = -alphaNext * Math.expm1(-h);
    return { x: sigmaNext / sigma, d0: e, half: e / 2, full: alphaNext - e / h, d2: (e / h - alphaNext) / h + alphaNext / 2, noise: 0 };
  }
  if (algorithm === 'sde-dpmsolver++') {
    const e = -alphaNext * Math.expm1(-2 * h);
    return { x: (sigmaNext / sigma) * Math.exp(-h), d0: e, half: e / 2, full: alphaNext - e / (2 * h), d2: (e / (2 * h) - alphaNext) / (2 * h) + alphaNext / 2, noise: sigmaNext * Math.sqrt(-Math.expm1(-2 * h)) };
  }
  const e = -sigmaNext * Math.expm1(h);
  const sde = algorithm === 'sde-dpmsolver' ? 2 : 1;
  return { x: alphaNext / alpha, d0: sde * e, half: (sde * e) / 2, full: sde * (e / h + sigmaNext), d2: sde * ((e / h + sigmaNext) / h + sigmaNext / 2), noise: sde === 2 ? sigmaNext * Math.sqrt(Math.expm1(2 * h)) : 0 };
}
