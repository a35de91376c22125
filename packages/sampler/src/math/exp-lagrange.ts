/*
 *   wⱼ = ∫₀ʰ e^(κv)·ℓⱼ(v) dv,   ℓⱼ the Lagrange polynomial that is 1 at node vⱼ and 0 at the others
 *
 * The weights of exponential multistep methods (DEIS arXiv 2204.13902 eq. 15; SA-Solver arXiv 2309.05019 eq. 14), in closed form:
 *   ∫₀ʰ e^(κv)·vᵏ dv = (hᵏ·e^(κh) − k·∫₀ʰ e^(κv)·vᵏ⁻¹ dv)/κ.
 */

/** Coefficients of the Lagrange polynomial of node j, lowest power first. */
export function lagrange(nodes: readonly number[], j: number): number[] {
  let polynomial = [1];
  nodes.forEach((node, k) => {
    if (k === j) return;
    const scale = 1 / (nodes[j]! - node);
    const next = new Array<number>(polynomial.length + 1).fill(0);
    polynomial.forEach((c, power) => {
      next[power + 1]! += c * scale;
      next[power]! -= c * node * scale;
    });
    polynomial = next;
  });
  return polynomial;
}

/** The weights wⱼ for the nodes, from 0 to h, with rate κ ≠ 0. */
export function expLagrange(nodes: readonly number[], h: number, rate: number): number[] {
  const moments: number[] = [Math.expm1(rate * h) / rate];
  for (let k = 1; k < nodes.length; k++) moments.push((h ** k * Math.exp(rate * h) - k * moments[k - 1]!) / rate);
  return nodes.map((_, j) => lagrange(nodes, j).reduce((sum, c, power) => sum + c * moments[power]!, 0));
}

/** ∫ₐᵇ ℓⱼ(t) dt for every node: the weights of linear multistep methods (Adams–Bashforth on uneven steps). */
export function adamsWeights(nodes: readonly number[], from: number, to: number): number[] {
  const shifted = nodes.map((node) => node - from); // around 0, so that powers do not cancel
  const h = to - from;
  return shifted.map((_, j) => lagrange(shifted, j).reduce((sum, c, power) => sum + (c * h ** (power + 1)) / (power + 1), 0));
}
